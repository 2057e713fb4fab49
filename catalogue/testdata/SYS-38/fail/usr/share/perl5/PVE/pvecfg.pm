package PVE::pvecfg;
