#!/bin/sh
curl -H "Authorization: PVEAPIToken=$TOKEN" https://pve1:8006/api2/json/version
