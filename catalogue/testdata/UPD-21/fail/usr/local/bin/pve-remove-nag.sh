#!/bin/sh
sed -i -e "/data\.status/ s/active/NoMoreNagging/" /usr/share/javascript/proxmox-widget-toolkit/proxmoxlib.js
