apt update
apt full-upgrade -y
