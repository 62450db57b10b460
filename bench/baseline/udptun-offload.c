/*
 * udptun-offload <tap-ip>[/prefix] <remote-ip>
 *
 * The ceiling: what a native program gets out of the kernel interfaces that udptun-fast uses, on the same wire
 * as udptun.c. The tap hands over and takes super-frames (IFF_VNET_HDR, TUNSETOFFLOAD), UDP_SEGMENT and UDP_GRO
 * move runs of datagrams, and each thread runs to completion: what it reads from one fd it writes to the other.
 * Every datagram is a complete Ethernet frame whose checksums are whole; those of segments that come in are
 * verified before they are joined. Payload stays where the kernel put it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/virtio_net.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/uio.h>

#include "endpoint.h"
#include "segment.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define VNET_BYTES (sizeof(struct virtio_net_hdr))
#define SUPER_BYTES (ETH_BYTES + 65535)
/* The longest UDP payload over IPv4, and UDP_MAX_SEGMENTS before Linux 6.10. */
#define SEND_BYTES 65507
#define SEND_SEGMENTS 64
/* A run of small frames is sent when it is this long: what lies in the cache when the kernel copies it. */
#define BATCH_BYTES 32768
/* UIO_MAXIOV, less the vnet header. */
#define JOIN_SEGMENTS 1023
/* How many lone datagrams one receive takes. */
#define RECEIVE_BATCH 64

static int tap;
static int udp;
static struct sockaddr_in remote;
/* Whether the tap takes super-frames of UDP. */
static bool uso;

static void await(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	if (poll(&pollfd, 1, -1) < 0 && errno != EINTR)
		err(1, "poll");
}

/* ---- tap to UDP ---- */

/* Sends what the vector holds as datagrams of `segment` bytes each, the last one perhaps shorter. */
static void send_run(struct iovec *iov, int count, size_t segment)
{
	union {
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control;
	struct msghdr message = {
		.msg_name = &remote,
		.msg_namelen = sizeof remote,
		.msg_iov = iov,
		.msg_iovlen = count,
		.msg_control = &control,
		.msg_controllen = sizeof control.bytes,
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

	cmsg->cmsg_level = IPPROTO_UDP;
	cmsg->cmsg_type = UDP_SEGMENT;
	cmsg->cmsg_len = CMSG_LEN(sizeof(uint16_t));
	*(uint16_t *)CMSG_DATA(cmsg) = segment;
	sendmsg(udp, &message, 0);
}

/* Cuts a super-frame into frames, with headers of their own in scratch, and sends as many at once as fit. */
static void send_super(uint8_t *frame, size_t length, const struct virtio_net_hdr *vnet)
{
	static uint8_t scratch[SEND_SEGMENTS * MAX_HEADER_BYTES];
	static struct iovec iov[2 * SEND_SEGMENTS];
	struct super super;

	if (!parse_super(&super, frame, length, vnet->gso_size))
		return;
	size_t whole = super.header_bytes + super.gso_size;
	int fit = SEND_BYTES / whole < SEND_SEGMENTS ? SEND_BYTES / whole : SEND_SEGMENTS;
	int count = 0;
	for (int i = 0; i < super.segments; i++) {
		uint8_t *header = scratch + count * MAX_HEADER_BYTES;
		size_t payload = write_segment(&super, i, header);

		iov[2 * count] = (struct iovec){header, super.header_bytes};
		iov[2 * count + 1] = (struct iovec){super.payload + (size_t)i * super.gso_size, payload};
		if (++count == fit || i + 1 == super.segments) {
			send_run(iov, 2 * count, whole);
			count = 0;
		}
	}
}

/* Frames of equal length that lie one behind the other; one that is shorter may end the run. */
struct batch {
	uint8_t *start;
	size_t bytes;
	size_t segment;
	int count;
};

static void flush(struct batch *batch)
{
	struct iovec iov = {batch->start, batch->bytes};

	if (batch->count == 1)
		sendto(udp, batch->start, batch->bytes, 0, (struct sockaddr *)&remote, sizeof remote);
	else if (batch->count > 1)
		send_run(&iov, 1, batch->segment);
	*batch = (struct batch){0};
}

static void *tap_to_udp(void *unused)
{
	static uint8_t buffer[BATCH_BYTES + SUPER_BYTES];
	struct batch batch = {0};
	size_t at = 0;

	for (;;) {
		struct virtio_net_hdr vnet;
		uint8_t *frame = buffer + at;
		struct iovec into[] = {{&vnet, VNET_BYTES}, {frame, SUPER_BYTES}};
		ssize_t got = readv(tap, into, 2);

		if (got < 0) {
			flush(&batch);
			at = 0;
			await(tap);
			continue;
		}
		size_t length = got - VNET_BYTES;
		if (vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
			flush(&batch);
			send_super(frame, length, &vnet);
			at = 0;
			continue;
		}
		if (vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			complete_checksum(frame, length, vnet.csum_start, vnet.csum_offset);
		if (batch.count > 0 && length > batch.segment)
			flush(&batch);
		if (batch.count == 0)
			batch = (struct batch){.start = frame, .segment = length};
		batch.bytes += length;
		batch.count++;
		at += length;
		if (length < batch.segment || batch.count == SEND_SEGMENTS || at >= BATCH_BYTES ||
		    batch.bytes + batch.segment > SEND_BYTES) {
			flush(&batch);
			at = 0;
		}
	}
	return unused;
}

/* ---- UDP to tap ---- */

/* Segments of one flow, in order, that follow one another: iov[0] is the vnet header, iov[1] the first frame. */
static struct {
	struct virtio_net_hdr vnet;
	struct iovec iov[1 + JOIN_SEGMENTS];
	struct segment first;
	struct segment last;
	size_t bytes;
	int count;
} run;

static void write_run(void)
{
	if (run.count == 0)
		return;
	run.vnet = (struct virtio_net_hdr){0};
	if (run.count > 1) {
		join_headers(&run.first, run.bytes, run.last.push);
		run.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		run.vnet.gso_type = run.first.protocol == IPPROTO_UDP ? VIRTIO_NET_HDR_GSO_UDP_L4
				    : run.first.ipv6		      ? VIRTIO_NET_HDR_GSO_TCPV6
								      : VIRTIO_NET_HDR_GSO_TCPV4;
		run.vnet.gso_size = run.first.payload_bytes;
		run.vnet.hdr_len = run.first.header_bytes;
		run.vnet.csum_start = run.first.transport_at;
		run.vnet.csum_offset = checksum_offset(&run.first);
	} else {
		run.vnet.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	run.iov[0] = (struct iovec){&run.vnet, VNET_BYTES};
	writev(tap, run.iov, run.count + 1);
	run.count = 0;
}

static void take_frame(uint8_t *frame, size_t length)
{
	struct segment segment;

	if (!parse_segment(&segment, frame, length)) {
		struct virtio_net_hdr plain = {0};
		struct iovec iov[] = {{&plain, VNET_BYTES}, {frame, length}};

		write_run();
		writev(tap, iov, 2);
		return;
	}
	int most = segment.protocol == IPPROTO_TCP ? JOIN_SEGMENTS : uso ? SEND_SEGMENTS : 1;
	if (run.count > 0 && (run.bytes + segment.payload_bytes > SUPER_BYTES || run.count >= most ||
			      !follows(&run.first, &run.last, run.count, &segment)))
		write_run();
	if (run.count == 0) {
		run.first = segment;
		run.bytes = length;
		run.iov[1] = (struct iovec){frame, length};
	} else {
		run.bytes += segment.payload_bytes;
		run.iov[run.count + 1] = (struct iovec){frame + segment.header_bytes, segment.payload_bytes};
	}
	run.last = segment;
	run.count++;
	if (segment.push || segment.payload_bytes < run.first.payload_bytes)
		write_run();
}

static size_t gro_size(struct msghdr *message, size_t length)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg))
		if (cmsg->cmsg_level == IPPROTO_UDP && cmsg->cmsg_type == UDP_GRO)
			return *(int *)CMSG_DATA(cmsg);
	return length;
}

static void *udp_to_tap(void *unused)
{
	static uint8_t buffers[RECEIVE_BATCH][65536];
	static char controls[RECEIVE_BATCH][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	static struct sockaddr_in from[RECEIVE_BATCH];
	static struct iovec iov[RECEIVE_BATCH];
	static struct mmsghdr messages[RECEIVE_BATCH];
	/* Super-datagrams are taken singly, to stay in the cache; where datagrams come alone, many at once. */
	int wanted = 1;

	for (;;) {
		for (int i = 0; i < wanted; i++) {
			iov[i] = (struct iovec){buffers[i], sizeof buffers[i]};
			messages[i].msg_hdr = (struct msghdr){
				.msg_name = &from[i],
				.msg_namelen = sizeof from[i],
				.msg_iov = &iov[i],
				.msg_iovlen = 1,
				.msg_control = controls[i],
				.msg_controllen = sizeof controls[i],
			};
		}
		int got = recvmmsg(udp, messages, wanted, MSG_DONTWAIT, NULL);
		if (got < 0) {
			await(udp);
			continue;
		}
		bool alone = true;
		for (int i = 0; i < got; i++) {
			size_t length = messages[i].msg_len;
			size_t size = gro_size(&messages[i].msg_hdr, length);

			if (from[i].sin_addr.s_addr != remote.sin_addr.s_addr || length == 0)
				continue;
			alone &= size == length;
			for (size_t at = 0; at < length; at += size)
				take_frame(buffers[i] + at, length - at < size ? length - at : size);
		}
		write_run();
		wanted = alone ? RECEIVE_BATCH : 1;
	}
	return unused;
}

/* Turns on what this kernel accepts, most wanted first. */
static void enable_offloads(void)
{
	unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	int on = 1;

	uso = ioctl(tap, TUNSETOFFLOAD, tso | TUN_F_USO4 | TUN_F_USO6) == 0;
	if (!uso && ioctl(tap, TUNSETOFFLOAD, tso) < 0)
		warn("TUNSETOFFLOAD");
	if (setsockopt(udp, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0)
		warn("UDP_GRO");
}

static void set_buffers(void)
{
	int bytes = 4 << 20;

	setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
	setsockopt(udp, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
}

int main(int argc, char **argv)
{
	pthread_t outbound, inbound;

	if (argc != 3) {
		fprintf(stderr, "usage: udptun-offload <tap-ip>[/prefix] <remote-ip>\n");
		return 2;
	}
	remote = parse_remote(argv[2]);
	udp = open_udp();
	tap = open_tap(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	fcntl(tap, F_SETFL, O_NONBLOCK);
	enable_offloads();
	set_buffers();
	configure_tap(argv[1], path_mtu(&remote));
	if (pthread_create(&outbound, NULL, tap_to_udp, NULL) || pthread_create(&inbound, NULL, udp_to_tap, NULL))
		errx(1, "cannot start a thread");
	pthread_join(outbound, NULL);
	pthread_join(inbound, NULL);
	return 0;
}
