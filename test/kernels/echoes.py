"""Sends one ICMP echo request of each size, and prints which sizes were answered whole, and which the kernel refused.

echoes.py ADDRESS FIRST LAST do|dont   (sizes of the payload in bytes; "do" sets the DF bit, see ip(7))
"""
import json, os, select, socket, struct, sys, time

address, first, last, df = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
IP_MTU_DISCOVER, DONT, DO = 10, 0, 2
AT_A_TIME, PAUSE_S, WAIT_S, TRIES = 10, 0.05, 8, 3
identifier = os.getpid() & 0xFFFF


def checksum(data):
    words = struct.unpack("!%dH" % (len(data) // 2), data[: len(data) & ~1])
    total = sum(words) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def payload_of(size):
    return bytes((size + at) & 0xFF for at in range(size))


def request_of(size):
    body = payload_of(size)
    whole = checksum(struct.pack("!BBHHH", 8, 0, 0, identifier, size) + body)
    return struct.pack("!BBHHH", 8, 0, whole, identifier, size) + body


door = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
door.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, DO if df == "do" else DONT)
door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
answered, refused = set(), set()


def take(seconds, enough):
    until = time.monotonic() + seconds
    while len(answered) < enough:
        left = until - time.monotonic()
        if left <= 0 or not select.select([door], [], [], left)[0]:
            return
        packet = door.recv(65536)
        message = packet[(packet[0] & 15) * 4 :]
        kind, _, _, theirs, size = struct.unpack("!BBHHH", message[:8])
        if kind == 0 and theirs == identifier and message[8:] == payload_of(size):
            answered.add(size)


sizes = range(first, last + 1)
for _ in range(TRIES):
    missing = [size for size in sizes if size not in answered and size not in refused]
    for at, size in enumerate(missing):
        try:
            door.sendto(request_of(size), (address, 0))
        except OSError as error:
            if error.errno != 90:  # EMSGSIZE
                raise
            refused.add(size)
        if at % AT_A_TIME == AT_A_TIME - 1:
            take(PAUSE_S, len(sizes))
    take(WAIT_S, len(sizes) - len(refused))
    if len(answered) + len(refused) == len(sizes):
        break
print(json.dumps({"answered": sorted(answered), "refused": sorted(refused)}))
