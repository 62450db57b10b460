/*
 * Cutting super-frames into Ethernet frames and joining TCP segments into super-frames: functions over bytes.
 * Plain means: no VLAN tag, no IP options or extension headers, no fragment.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <arpa/inet.h>

#define ETH_BYTES 14
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define MAX_HEADER_BYTES (ETH_BYTES + IPV6_BYTES + 60)

/* Offsets within the Ethernet, IPv4, IPv6, TCP and UDP headers. */
#define ETH_TYPE 12
#define IPV4_LENGTH 2
#define IPV4_ID 4
#define IPV4_FRAGMENT 6
#define IPV4_PROTOCOL 9
#define IPV4_CHECKSUM 10
#define IPV4_ADDRESSES 12
#define IPV6_LENGTH 4
#define IPV6_NEXT 6
#define IPV6_ADDRESSES 8
#define TCP_SEQUENCE 4
#define TCP_ACKNOWLEDGED 8
#define TCP_DATA_OFFSET 12
#define TCP_FLAGS 13
#define TCP_CHECKSUM 16
#define UDP_LENGTH 4
#define UDP_CHECKSUM 6

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_CWR 0x80

static inline uint16_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static inline void put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

/*
 * The ones' complement sum (RFC 1071) of `length` bytes, in memory order and not yet folded. Four independent
 * 64-bit sums of 32-bit words, which the compiler turns into vector instructions; none can overflow.
 */
__attribute__((optimize("O3"))) static uint64_t sum_bytes(const uint8_t *bytes, size_t length)
{
	uint64_t sum = 0;
	size_t words = length / 4;

	for (size_t i = 0; i < words; i++) {
		uint32_t word;
		memcpy(&word, bytes + 4 * i, 4);
		sum += word;
	}
	if (length & 3) {
		uint32_t rest = 0;
		memcpy(&rest, bytes + 4 * words, length & 3);
		sum += rest;
	}
	return sum;
}

/* Folds a sum to the 16 bits that go into a header as they are in memory. */
static inline uint16_t fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (sum >> 16) + (sum & 0xffff);
}

static inline void store_sum(uint8_t *at, uint16_t memory_order)
{
	memcpy(at, &memory_order, 2);
}

/* The sum of the pseudo-header: addresses, protocol, length of what follows the IP header. */
static uint64_t pseudo_sum(const uint8_t *ip, bool ipv6, uint8_t protocol, uint32_t length)
{
	uint64_t addresses = ipv6 ? sum_bytes(ip + IPV6_ADDRESSES, 32) : sum_bytes(ip + IPV4_ADDRESSES, 8);

	return addresses + htonl(protocol) + htonl(length);
}

static void write_ipv4_checksum(uint8_t *ip)
{
	memset(ip + IPV4_CHECKSUM, 0, 2);
	store_sum(ip + IPV4_CHECKSUM, ~fold(sum_bytes(ip, IPV4_BYTES)));
}

static void write_ip_length(uint8_t *ip, bool ipv6, size_t transport_bytes)
{
	if (ipv6)
		put16(ip + IPV6_LENGTH, transport_bytes);
	else
		put16(ip + IPV4_LENGTH, IPV4_BYTES + transport_bytes);
}

/* Finishes a checksum that the kernel left to the device: the field holds the pseudo-header's sum. */
static void complete_checksum(uint8_t *frame, size_t length, size_t start, size_t offset)
{
	if (start + offset + 2 > length)
		return;
	uint16_t whole = ~fold(sum_bytes(frame + start, length - start));
	/* 0 means "none" in UDP; to TCP both are zero. */
	store_sum(frame + start + offset, whole ? whole : 0xffff);
}

/* ---- cutting ---- */

struct super {
	const uint8_t *frame;
	uint8_t *payload;
	size_t payload_bytes;
	size_t gso_size;
	size_t header_bytes;
	size_t transport_at;
	int segments;
	bool ipv6;
	uint8_t protocol;
};

static bool parse_super(struct super *super, uint8_t *frame, size_t length, size_t gso_size)
{
	if (length < ETH_BYTES + IPV6_BYTES || gso_size == 0)
		return false;
	super->ipv6 = get16(frame + ETH_TYPE) == 0x86dd;
	const uint8_t *ip = frame + ETH_BYTES;
	super->protocol = super->ipv6 ? ip[IPV6_NEXT] : ip[IPV4_PROTOCOL];
	if (!super->ipv6 && (get16(frame + ETH_TYPE) != 0x0800 || ip[0] != 0x45))
		return false;
	if (super->protocol != IPPROTO_TCP && super->protocol != IPPROTO_UDP)
		return false;
	super->transport_at = ETH_BYTES + (super->ipv6 ? IPV6_BYTES : IPV4_BYTES);
	if (length < super->transport_at + 20)
		return false;
	size_t transport_bytes =
		super->protocol == IPPROTO_TCP ? (frame[super->transport_at + TCP_DATA_OFFSET] >> 4) * 4 : 8;
	super->header_bytes = super->transport_at + transport_bytes;
	if (length <= super->header_bytes)
		return false;
	super->frame = frame;
	super->payload = frame + super->header_bytes;
	super->payload_bytes = length - super->header_bytes;
	super->gso_size = gso_size;
	super->segments = (super->payload_bytes + gso_size - 1) / gso_size;
	return true;
}

/* Writes the headers of segment `index` to `header`, and returns how long its payload is. */
static size_t write_segment(const struct super *super, int index, uint8_t *header)
{
	size_t offset = (size_t)index * super->gso_size;
	size_t left = super->payload_bytes - offset;
	size_t payload_bytes = left < super->gso_size ? left : super->gso_size;
	size_t transport_bytes = super->header_bytes - super->transport_at;
	uint8_t *ip = header + ETH_BYTES;
	uint8_t *transport = header + super->transport_at;
	uint8_t *checksum = transport + (super->protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);

	memcpy(header, super->frame, super->header_bytes);
	write_ip_length(ip, super->ipv6, transport_bytes + payload_bytes);
	if (!super->ipv6) {
		put16(ip + IPV4_ID, get16(ip + IPV4_ID) + index);
		write_ipv4_checksum(ip);
	}
	if (super->protocol == IPPROTO_TCP) {
		put32(transport + TCP_SEQUENCE, get32(transport + TCP_SEQUENCE) + offset);
		if (index > 0)
			transport[TCP_FLAGS] &= ~TCP_CWR;
		if (index + 1 < super->segments)
			transport[TCP_FLAGS] &= ~(TCP_FIN | TCP_PSH);
	} else {
		put16(transport + UDP_LENGTH, transport_bytes + payload_bytes);
	}
	memset(checksum, 0, 2);
	/* Every piece but the last of a checksum must be of even length: header lengths are. */
	uint16_t whole = ~fold(pseudo_sum(ip, super->ipv6, super->protocol, transport_bytes + payload_bytes) +
			       sum_bytes(transport, transport_bytes) + sum_bytes(super->payload + offset, payload_bytes));
	store_sum(checksum, whole ? whole : 0xffff);
	return payload_bytes;
}

/* ---- joining ---- */

struct segment {
	uint8_t *frame;
	size_t payload_bytes;
	size_t header_bytes;
	size_t transport_at;
	uint8_t protocol;
	bool ipv6;
	bool push;
};

/* Reads the IP header, and whether it is plain. */
static bool parse_ip(struct segment *segment, uint8_t *frame, size_t length)
{
	const uint8_t *ip = frame + ETH_BYTES;

	segment->frame = frame;
	segment->ipv6 = get16(frame + ETH_TYPE) == 0x86dd;
	if (segment->ipv6) {
		segment->transport_at = ETH_BYTES + IPV6_BYTES;
		segment->protocol = ip[IPV6_NEXT];
		return length > segment->transport_at && segment->transport_at + get16(ip + IPV6_LENGTH) == length;
	}
	segment->transport_at = ETH_BYTES + IPV4_BYTES;
	segment->protocol = ip[IPV4_PROTOCOL];
	return length > segment->transport_at && get16(frame + ETH_TYPE) == 0x0800 && ip[0] == 0x45 &&
	       (get16(ip + IPV4_FRAGMENT) & ~0x4000) == 0 && ETH_BYTES + (size_t)get16(ip + IPV4_LENGTH) == length &&
	       fold(sum_bytes(ip, IPV4_BYTES)) == 0xffff;
}

/*
 * Is this a plain TCP segment with no flags but ACK and PSH, or a plain UDP datagram, with payload and every
 * checksum there and right?
 */
static bool parse_segment(struct segment *segment, uint8_t *frame, size_t length)
{
	if (!parse_ip(segment, frame, length))
		return false;
	const uint8_t *transport = frame + segment->transport_at;
	size_t transport_bytes = length - segment->transport_at;
	size_t header_bytes;
	if (segment->protocol == IPPROTO_TCP && transport_bytes > 20) {
		header_bytes = (transport[TCP_DATA_OFFSET] >> 4) * 4;
		segment->push = transport[TCP_FLAGS] & TCP_PSH;
		if (header_bytes < 20 || (transport[TCP_FLAGS] & ~TCP_PSH) != TCP_ACK)
			return false;
	} else if (segment->protocol == IPPROTO_UDP && transport_bytes > 8) {
		header_bytes = 8;
		segment->push = false;
		if (get16(transport + UDP_LENGTH) != transport_bytes || get16(transport + UDP_CHECKSUM) == 0)
			return false;
	} else {
		return false;
	}
	if (header_bytes >= transport_bytes)
		return false;
	segment->header_bytes = segment->transport_at + header_bytes;
	segment->payload_bytes = transport_bytes - header_bytes;
	return fold(pseudo_sum(frame + ETH_BYTES, segment->ipv6, segment->protocol, transport_bytes) +
		    sum_bytes(transport, transport_bytes)) == 0xffff;
}

/* Are the IP headers equal but for lengths, checksums and an IPv4 ID that counts up, `count` later? */
static bool same_path(const struct segment *first, int count, const struct segment *next)
{
	const uint8_t *a = first->frame + ETH_BYTES;
	const uint8_t *b = next->frame + ETH_BYTES;

	if (memcmp(first->frame, next->frame, ETH_BYTES + (first->ipv6 ? IPV6_LENGTH : IPV4_LENGTH)) != 0)
		return false;
	if (first->ipv6)
		return memcmp(a + IPV6_NEXT, b + IPV6_NEXT, IPV6_BYTES - IPV6_NEXT) == 0;
	return (uint16_t)(get16(a + IPV4_ID) + count) == get16(b + IPV4_ID) &&
	       memcmp(a + IPV4_FRAGMENT, b + IPV4_FRAGMENT, IPV4_CHECKSUM - IPV4_FRAGMENT) == 0 &&
	       memcmp(a + IPV4_ADDRESSES, b + IPV4_ADDRESSES, 8) == 0;
}

/* Are the TCP headers equal but for the checksum, PSH and a sequence number that goes on after `last`? */
static bool same_tcp(const struct segment *first, const struct segment *last, const struct segment *next)
{
	const uint8_t *a = first->frame + first->transport_at;
	const uint8_t *b = next->frame + next->transport_at;
	size_t options = first->header_bytes - first->transport_at - TCP_CHECKSUM - 2;

	return get32(last->frame + last->transport_at + TCP_SEQUENCE) + last->payload_bytes ==
		       get32(b + TCP_SEQUENCE) &&
	       memcmp(a + TCP_ACKNOWLEDGED, b + TCP_ACKNOWLEDGED, TCP_FLAGS - TCP_ACKNOWLEDGED) == 0 &&
	       memcmp(a + TCP_FLAGS + 1, b + TCP_FLAGS + 1, TCP_CHECKSUM - TCP_FLAGS - 1) == 0 &&
	       memcmp(a + TCP_CHECKSUM + 2, b + TCP_CHECKSUM + 2, options) == 0;
}

/* Does `next` follow `last` in the run that `first` began, so that cutting would give back what was joined? */
static bool follows(const struct segment *first, const struct segment *last, int count, const struct segment *next)
{
	const uint8_t *ports = first->frame + first->transport_at;

	return first->protocol == next->protocol && first->header_bytes == next->header_bytes &&
	       first->transport_at == next->transport_at && next->payload_bytes <= first->payload_bytes &&
	       same_path(first, count, next) && memcmp(ports, next->frame + next->transport_at, 4) == 0 &&
	       (first->protocol == IPPROTO_UDP || same_tcp(first, last, next));
}

static size_t checksum_offset(const struct segment *segment)
{
	return segment->protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
}

/* Makes the first segment's headers those of a super-frame of `bytes`, its checksum left to the kernel. */
static void join_headers(const struct segment *first, size_t bytes, bool push)
{
	uint8_t *ip = first->frame + ETH_BYTES;
	uint8_t *transport = first->frame + first->transport_at;
	size_t transport_bytes = bytes - first->transport_at;

	write_ip_length(ip, first->ipv6, transport_bytes);
	if (!first->ipv6)
		write_ipv4_checksum(ip);
	if (first->protocol == IPPROTO_UDP)
		put16(transport + UDP_LENGTH, transport_bytes);
	else if (push)
		transport[TCP_FLAGS] |= TCP_PSH;
	store_sum(transport + checksum_offset(first),
		  fold(pseudo_sum(ip, first->ipv6, first->protocol, transport_bytes)));
}
