#!/usr/bin/python3
"""Stands for one of Proxmox VE's daemons: listens where that one listens, and says nothing of use.

Usage: daemon.py ADDRESS PORT [CERTIFICATE KEY]
"""
import socket
import ssl
import sys

address, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
listener = socket.socket(family, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((address, port))
listener.listen(16)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    listener = context.wrap_socket(listener, server_side=True)
while True:
    try:
        connection, _ = listener.accept()
        connection.settimeout(5)
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 401 No ticket\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.close()
    except OSError:
        continue
