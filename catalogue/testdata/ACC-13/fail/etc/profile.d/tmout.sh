export TMOUT=3600
