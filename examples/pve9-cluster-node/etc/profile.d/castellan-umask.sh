if [ "$(id -u)" -ge 1000 ]; then
  umask 027
fi
