case "$-" in
*i*)
  readonly TMOUT=900
  export TMOUT
  ;;
esac
