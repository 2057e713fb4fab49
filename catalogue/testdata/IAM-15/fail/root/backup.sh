#!/bin/sh
curl -H "Authorization: PVEAPIToken=job@pve!ci=00000000-1111-2222-3333-444444444444" https://pve1:8006/api2/json/version
