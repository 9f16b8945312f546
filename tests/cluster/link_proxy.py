"""A wire between two network devices: what one receives the other sends, later, and not all of it, or not
as it was.

Usage: link_proxy.py DEVICE DEVICE MILLISECONDS LOSS SPOILED SPARED

Of large packets of TCP a share SPOILED has a bit changed, but for those from and to the address
SPARED; a line is printed for each. Checksums of TCP do not notice: between such devices nobody makes
them."""

import collections
import random
import select
import socket
import sys
import time

SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 1, 15, 23
PACKET_MR_PROMISC = 1
ETH_P_ALL = 3
LARGEST_PACKET = 256 << 10
PACKETS_UNDER_WAY = 4096  # more are lost, as in a router
LARGE_PACKET = 4 << 10  # has part of a chunk
HEADERS = 10 + 14 + 60 + 60  # of the device, Ethernet, IP and TCP, at most
PROTOCOL, SOURCE, TARGET = (10 + 14 + offset for offset in (9, 12, 16))  # of IP
TCP = 6


def open_device(name):
    device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    # With each packet comes how it is to be cut up and summed later on.
    device.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    device.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        device.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    device.bind((name, ETH_P_ALL))
    everybody = socket.if_nametoindex(name).to_bytes(4, sys.byteorder)
    everybody += PACKET_MR_PROMISC.to_bytes(2, sys.byteorder) + bytes(10)
    device.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, everybody)
    return device


def may_spoil(packet, spared):
    addresses = packet[SOURCE:SOURCE + 4], packet[TARGET:TARGET + 4]
    return len(packet) >= LARGE_PACKET and packet[PROTOCOL] == TCP and spared not in addresses


def spoil(packet, chance):
    packet = bytearray(packet)
    packet[chance.randrange(HEADERS, len(packet))] ^= 1 << chance.randrange(8)
    print("spoiled", flush=True)
    return packet


def main(one, other, milliseconds, loss, spoiled, spared):
    one, other = open_device(one), open_device(other)
    opposite = {one: other, other: one}
    under_way = collections.deque()  # when due, where to, what; in order, as all take as long
    chance = random.Random(1)
    print("ready", flush=True)
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        for device in select.select([one, other], [], [], wait)[0]:
            try:
                packet = device.recv(LARGEST_PACKET)
            except OSError:
                return  # gone with its host
            if spoiled and may_spoil(packet, spared) and chance.random() < spoiled:
                packet = spoil(packet, chance)
            if chance.random() >= loss and len(under_way) < PACKETS_UNDER_WAY:
                due = time.monotonic() + milliseconds / 1000
                under_way.append((due, opposite[device], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, device, packet = under_way.popleft()
            try:
                device.send(packet)
            except OSError:
                pass  # lost


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:6]),
         socket.inet_aton(sys.argv[6]))
