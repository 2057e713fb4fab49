ls
pveum useradd backup1@pve --password hunter2
