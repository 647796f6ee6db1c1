/* SPDX-License-Identifier: MIT */
/*
 * The network of a world: what its links between hosts do to all that is sent over them, and what
 * the kernels at both ends do. Each setting holds for what is sent from then on. Calm, all of it:
 * links that are slow by a millisecond and lose nothing.
 */
#ifndef DRYWIRE_NETWORK_H
#define DRYWIRE_NETWORK_H

#include "drywire/world.h"

DW_BEGIN_DECLS

#define DW_LATENCY_DEFAULT DW_MSEC(1)

/* One-way latency between two hosts, both ways, for all that is sent from now on. Default: 1 ms; 20
 * us within one host. */
void dw_world_set_latency(dw_world *world, dw_host *a, dw_host *b, dw_time latency);

/* Cuts a link: what is in flight or sent is lost, datagrams for good; streams retransmit and so see
 * delay, or a time-out in the end. Two-way, one-way, and the way back. */
void dw_world_partition(dw_world *world, dw_host *a, dw_host *b);
void dw_world_partition_one_way(dw_world *world, dw_host *from, dw_host *to);
void dw_world_repair(dw_world *world, dw_host *a, dw_host *b);

/* Holds a link: what arrives over it waits, nothing is lost, until the link is released (both
 * ways); then all of it arrives at once, in order. A stream's sender notices nothing. */
void dw_world_hold(dw_world *world, dw_host *a, dw_host *b);
void dw_world_hold_one_way(dw_world *world, dw_host *from, dw_host *to);
void dw_world_release(dw_world *world, dw_host *a, dw_host *b);

/* How much two hosts can send each other, each way, in bytes per second; 0: any amount at once, the
 * default. A packet leaves when those before it have, and arrives when the last byte of it does; a
 * segment of a stream is at most DW_SEGMENT_MAX long on such a link. Headers count (TCP: 40 bytes);
 * acknowledgements do not. */
#define DW_SEGMENT_MAX 1460
void dw_world_set_bandwidth(dw_world *world, dw_host *a, dw_host *b, uint64_t bytes_per_second);

/* How many bytes may wait for such a link, the packet that is being sent included; 0: any number,
 * the default. One packet always fits; then the last to come is dropped: a datagram is lost, a
 * packet of a stream is sent again later. */
void dw_world_set_queue(dw_world *world, dw_host *a, dw_host *b, size_t bytes);

/* Each packet is late by 0 to `jitter`, and `per_million` of a million are dropped, both ways. Not
 * by choices: which ones is the same in each run. Datagrams may overtake each other by it. */
#define DW_LOSS_ALL 1000000
void dw_world_set_jitter(dw_world *world, dw_host *a, dw_host *b, dw_time jitter);
void dw_world_set_loss(dw_world *world, dw_host *a, dw_host *b, uint32_t per_million);

/* Gives all links between hosts, those to come too, the properties of a weather (latency, jitter,
 * loss, bandwidth, queue), in place of those they have; ends what an earlier weather does. Those
 * that do something by themselves begin now, and go on until the world heals or the weather
 * changes: so the world is never idle. False: there is no such weather.
 *
 *     calm          as without one
 *     lan           100 us, 1 Gbit/s
 *     wan           40 ms, 100 Mbit/s
 *     satellite     270 ms, 10 Mbit/s (geostationary: RFC 2488)
 *     flaky-wifi    3 to 33 ms, 20 Mbit/s, 3 % lost
 *     bufferbloat   20 ms, 1 Mbit/s behind a queue of two seconds
 *     blackhole     calm for a second, then everything is lost in silence
 *     flap          of each 10 s all links are cut for the last 2
 *     swizzle-clog  again and again: links are held, one each 500 ms, then released in another
 *                   order, by choices of the world, `unclog`
 */
bool dw_world_set_weather(dw_world *world, const char *name);
/* Their names; NULL behind the last. */
const char *const *dw_world_weather_names(void);

/* Nagle's algorithm (RFC 9293, section 3.7.4), for connections without no-delay: a small write
 * waits while an earlier one is not acknowledged, 40 ms and a round trip when the peer writes
 * nothing (Linux's delayed acknowledgements). Off at first: it makes every write, write, read late,
 * and scenarios should ask for that; the live wire has it always. */
void dw_world_set_nagle(dw_world *world, bool on);

/* Keep-alive, for connections that have it on: after how long without a word it probes the peer,
 * how often again, and after how many in vain it gives up with ETIMEDOUT. Default, as in tcp(7):
 * 7200 s, 75 s, 9. A connection that has it on is never idle. */
void dw_world_set_keep_alive(dw_world *world, dw_time idle, dw_time interval, unsigned probes);

/* Send and receive buffer of each end of a connection made from now on, in bytes; default 65536. */
void dw_world_set_buffers(dw_world *world, size_t send, size_t receive);

/* The largest IP packet, in bytes, that passes between two hosts, both ways; 0: any, the default. A
 * datagram over IPv4 has 28 bytes of headers. Streams cut themselves to fit. A larger datagram
 * would travel in fragments, which many networks drop (RFC 8900): here it is lost, in silence. */
void dw_world_set_mtu(dw_world *world, dw_host *a, dw_host *b, size_t mtu);

/* Linux's net.core.rmem_default. */
#define DW_DATAGRAM_BUFFER_DEFAULT 212992

/* How much a UDP socket holds unread, in bytes, of which each datagram takes its length and
 * DW_DATAGRAM_COST more, as in Linux; one always fits. What is over is lost without a word. */
#define DW_DATAGRAM_COST 832
void dw_world_set_datagram_buffer(dw_world *world, size_t bytes);

/* Faults stop: every partition is repaired, every hold released, the weather does nothing by itself
 * any more and every choice is calm from now on. For liveness: heal, then require progress with
 * dw_world_run_until. */
void dw_world_heal(dw_world *world);

DW_END_DECLS

#endif
