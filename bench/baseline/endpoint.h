/* What both baseline programs start with: the remote's address, the UDP socket, the tap device. */
#pragma once

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 5149
#define DEVICE "tap0"
/* What the underlay's path MTU loses to the outer IPv4 and UDP headers and the inner Ethernet header. */
#define ENCAPSULATION_BYTES (20 + 8 + 14)

static struct sockaddr_in parse_remote(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
		errx(2, "\"%s\" is not an IPv4 address", text);
	return address;
}

/* Unconnected, with DF set on everything it sends. */
static int open_udp(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int discover = IP_PMTUDISC_DO;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof discover) < 0)
		err(1, "socket");
	if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
		err(1, "bind");
	return fd;
}

static int open_tap(int flags)
{
	struct ifreq request = {.ifr_name = DEVICE};
	int fd = open("/dev/net/tun", O_RDWR);

	request.ifr_flags = flags;
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		err(1, "/dev/net/tun");
	return fd;
}

static int path_mtu(const struct sockaddr_in *to)
{
	int mtu;
	socklen_t size = sizeof mtu;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 ||
	    getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &size) < 0)
		err(1, "path MTU");
	close(fd);
	return mtu;
}

/* Gives the device its address ("ip" or "ip/prefix", 24 unless told) and MTU, and sets it up. */
static void configure_tap(char *address, int underlay_mtu)
{
	struct ifreq request = {.ifr_name = DEVICE};
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
	char *slash = strchr(address, '/');
	int prefix = slash ? atoi(slash + 1) : 24;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (slash)
		*slash = '\0';
	if (prefix < 1 || prefix > 32)
		errx(2, "the prefix must be from 1 to 32, not \"%s\"", slash + 1);
	in->sin_family = AF_INET;
	if (inet_pton(AF_INET, address, &in->sin_addr) != 1)
		errx(2, "\"%s\" is not an IPv4 address", address);
	if (fd < 0 || ioctl(fd, SIOCSIFADDR, &request) < 0)
		err(1, "SIOCSIFADDR");
	in->sin_addr.s_addr = htonl(~0u << (32 - prefix));
	if (ioctl(fd, SIOCSIFNETMASK, &request) < 0)
		err(1, "SIOCSIFNETMASK");
	request.ifr_mtu = underlay_mtu - ENCAPSULATION_BYTES;
	if (ioctl(fd, SIOCSIFMTU, &request) < 0)
		err(1, "SIOCSIFMTU");
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		err(1, "SIOCGIFFLAGS");
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		err(1, "SIOCSIFFLAGS");
	close(fd);
}
