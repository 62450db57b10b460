/*
 * udptun <tap-ip>[/prefix] <remote-ip>
 *
 * The yardstick: a tunnel as the article "VPN Networking" (Linux Gazette 149) describes it, written afresh.
 * A tap device, an unconnected UDP socket and two threads, one a direction, each of which waits in poll() and
 * then moves one frame a system call. Nothing here is cleverer than that.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "endpoint.h"

static int tap;
static int udp;
static struct sockaddr_in remote;

static void await(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	if (poll(&pollfd, 1, -1) < 0)
		err(1, "poll");
}

static void *tap_to_udp(void *unused)
{
	static char frame[65536];

	for (;;) {
		await(tap);
		ssize_t length = read(tap, frame, sizeof frame);
		if (length > 0)
			sendto(udp, frame, length, 0, (struct sockaddr *)&remote, sizeof remote);
	}
	return unused;
}

static void *udp_to_tap(void *unused)
{
	static char frame[65536];

	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof from;

		await(udp);
		ssize_t length = recvfrom(udp, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
		if (length > 0 && from.sin_addr.s_addr == remote.sin_addr.s_addr && write(tap, frame, length) < 0)
			warn("write");
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t outbound, inbound;

	if (argc != 3) {
		fprintf(stderr, "usage: udptun <tap-ip>[/prefix] <remote-ip>\n");
		return 2;
	}
	remote = parse_remote(argv[2]);
	udp = open_udp();
	tap = open_tap(IFF_TAP | IFF_NO_PI);
	configure_tap(argv[1], path_mtu(&remote));
	if (pthread_create(&outbound, NULL, tap_to_udp, NULL) || pthread_create(&inbound, NULL, udp_to_tap, NULL))
		errx(1, "cannot start a thread");
	pthread_join(outbound, NULL);
	pthread_join(inbound, NULL);
	return 0;
}
