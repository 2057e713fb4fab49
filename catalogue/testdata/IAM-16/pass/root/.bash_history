pveum user add alice@pve
pveum passwd alice@pve
curl --password-file x
pveum user add b@pve --password "$PW"
