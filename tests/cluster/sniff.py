"""Reads what passes a network device until its input ends. Prints how often it saw one of the given
numbers followed by the next one, as 64-bit integers, and how many bytes it saw.

Usage: sniff.py DEVICE NUMBER..."""

import select
import socket
import struct
import sys

from link_proxy import ETH_P_ALL, LARGEST_PACKET

IDLE_SECONDS = 0.2


def main(device, numbers):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    wire.bind((device, ETH_P_ALL))
    patterns = [struct.pack("<2q", number, number + 1) for number in numbers]
    found = seen = 0
    print("ready", flush=True)
    is_over = False
    while True:
        ready = select.select([wire] if is_over else [wire, sys.stdin], [], [],
                              IDLE_SECONDS if is_over else None)[0]
        if is_over and not ready:
            break
        is_over = is_over or sys.stdin in ready
        if wire in ready:
            packet = wire.recv(LARGEST_PACKET)
            seen += len(packet)
            found += sum(pattern in packet for pattern in patterns)
    print(found, seen)


if __name__ == "__main__":
    main(sys.argv[1], [int(number) for number in sys.argv[2:]])
