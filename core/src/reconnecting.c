/* SPDX-License-Identifier: MIT */
/*
 * The reconnecting client factory: a growing delay, a delayed call and the connector it belongs to.
 *
 * Invariant: the shutdown trigger is set exactly while the call is pending, and then the connector
 * is held; so a factory that does not wait can be forgotten by its reactor, and a reactor that
 * stops leaves nothing of it behind.
 */
#include "drywire/reconnecting.h"

#include "drywire/backend.h"

/* Delays are kept in 2^-16 ns, so that rounding stays below 1e-9 of the delay through any number of
 * multiplications; they are asked for in whole nanoseconds. */
enum { FRACTION_BITS = 16 };

#define DELAY_MAX ((uint64_t)DW_RECONNECTING_DELAY_LIMIT << FRACTION_BITS)

/* Twisted draws a delay from a normal distribution. The sum of twelve uniform draws is near enough
 * to one and needs no floating point: with draws below 2^32 its standard deviation is 2^32, and it
 * stays within six of them. */
enum { JITTER_DRAWS = 12 };

static dw_reconnecting_client_factory *of(dw_client_factory *factory) {
    return DW_CONTAINER_OF(factory, dw_reconnecting_client_factory, base);
}

/* ---- Arithmetic ---- */

/* a * b as two words. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t *high) {
    uint64_t a0 = a & UINT32_MAX, a1 = a >> 32, b0 = b & UINT32_MAX, b1 = b >> 32;
    uint64_t low = a0 * b0;
    uint64_t middle = a1 * b0 + (low >> 32);
    uint64_t other = a0 * b1 + (middle & UINT32_MAX);
    *high = a1 * b1 + (middle >> 32) + (other >> 32);
    return (other << 32) | (low & UINT32_MAX);
}

/* value * num / den, rounded down, at most DELAY_MAX; den > 0. Long division, bit by bit: this runs
 * once per attempt. */
static uint64_t scale(uint64_t value, uint64_t num, uint64_t den) {
    uint64_t rest = 0;
    uint64_t low = multiply(value, num, &rest);
    uint64_t quotient = 0;
    if (rest >= den) {
        return DELAY_MAX;
    }
    for (int bit = 63; bit >= 0; bit--) {
        bool carry = (rest >> 63) != 0;
        rest = (rest << 1) | ((low >> bit) & 1);
        if (carry || rest >= den) {
            rest -= den;
            quotient |= UINT64_C(1) << bit;
        }
    }
    return quotient < DELAY_MAX ? quotient : DELAY_MAX;
}

static uint64_t delay_of_time(dw_time time) {
    if (time <= 0) {
        return 0;
    }
    return time < DW_RECONNECTING_DELAY_LIMIT ? (uint64_t)time << FRACTION_BITS : DELAY_MAX;
}

static dw_time time_of_delay(uint64_t delay) {
    return (dw_time)((delay + (1U << (FRACTION_BITS - 1))) >> FRACTION_BITS);
}

/* `delay` moved by a random multiple of its standard deviation, never below zero. */
static uint64_t jittered(dw_reactor *reactor, uint64_t delay, uint32_t jitter_ppb) {
    uint8_t bytes[4 * JITTER_DRAWS];
    uint64_t sum = 0;
    const uint64_t middle = (uint64_t)JITTER_DRAWS / 2 << 32;
    dw_reactor_random(reactor, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i += 4) {
        sum += (uint32_t)bytes[i] | (uint32_t)bytes[i + 1] << 8 | (uint32_t)bytes[i + 2] << 16 |
               (uint32_t)bytes[i + 3] << 24;
    }
    uint64_t deviation = scale(delay, jitter_ppb, 1000000000);
    uint64_t distance =
        scale(deviation, sum > middle ? sum - middle : middle - sum, UINT64_C(1) << 32);
    if (sum > middle) {
        return distance < DELAY_MAX - delay ? delay + distance : DELAY_MAX;
    }
    return distance < delay ? delay - distance : 0;
}

/* Twisted multiplies before the first wait, and goes on from the delay with its jitter
 * (vectors/README.md, section 4: 15). */
static void grow(dw_reconnecting_client_factory *f, dw_reactor *reactor) {
    uint64_t longest = delay_of_time(f->max_delay);
    uint64_t delay = f->delay_ != 0 ? f->delay_ : delay_of_time(f->initial_delay);
    delay = scale(delay, f->factor.num, f->factor.den);
    delay = delay < longest ? delay : longest;
    if (f->jitter_ppb > 0) {
        uint32_t jitter = f->jitter_ppb < 1000000000 ? f->jitter_ppb : 1000000000;
        delay = jittered(reactor, delay, jitter);
    }
    f->delay_ = delay;
}

/* ---- Waiting ---- */

static void stop_waiting(dw_reconnecting_client_factory *f) {
    dw_delayed_call_cancel(&f->call_);
    dw_trigger_remove(&f->trigger_);
}

static void remember(dw_reconnecting_client_factory *f, dw_connector *connector) {
    dw_connector *old = f->connector_;
    if (old != connector) {
        f->connector_ = connector != NULL ? dw_connector_hold(connector) : NULL;
        dw_connector_release(old);
    }
}

static void reactor_stops(void *user) {
    dw_reconnecting_client_factory *f = user;
    stop_waiting(f);
    remember(f, NULL);
}

/* The application may have connected meanwhile; then there is nothing to do. */
static void connect_again(void *user) {
    dw_reconnecting_client_factory *f = user;
    dw_trigger_remove(&f->trigger_);
    dw_connector_connect(f->connector_);
}

int dw_reconnecting_retry(dw_reconnecting_client_factory *f) {
    if (f->stopped_) {
        return 0;
    }
    if (f->connector_ == NULL) {
        return DW_NOT_CONNECTED;
    }
    dw_reactor *reactor = dw_connector_reactor(f->connector_);
    if (dw_reactor_stopping(reactor)) {
        reactor_stops(f);
        return DW_NOT_CONNECTED;
    }
    f->retries_ += f->retries_ < UINT32_MAX ? 1 : 0;
    if (f->max_retries != DW_RECONNECTING_NO_MAX && f->retries_ > f->max_retries) {
        return 0;
    }
    grow(f, reactor);
    dw_reactor_call_later(reactor, &f->call_, time_of_delay(f->delay_), connect_again, f);
    dw_reactor_add_trigger(reactor, &f->trigger_, DW_DURING_SHUTDOWN, reactor_stops, f);
    return 0;
}

void dw_reconnecting_stop_trying(dw_reconnecting_client_factory *f) {
    f->stopped_ = true;
    stop_waiting(f);
    if (f->connector_ != NULL) {
        dw_connector_stop_connecting(f->connector_);
    }
}

void dw_reconnecting_reset_delay(dw_reconnecting_client_factory *f) {
    f->delay_ = 0;
    f->retries_ = 0;
    f->stopped_ = false;
}

dw_time dw_reconnecting_due(const dw_reconnecting_client_factory *f) {
    return dw_delayed_call_active(&f->call_) ? dw_delayed_call_time(&f->call_) : DW_TIME_MAX;
}

/* ---- The factory ---- */

static void disconnected(dw_reconnecting_client_factory *f, dw_connector *connector) {
    if (f->stopped_) {
        return;
    }
    dw_contract(dw_connector_reactor(connector),
                f->connector_ == connector || !dw_delayed_call_active(&f->call_), "contract",
                "a reconnecting factory serves two connectors");
    remember(f, connector);
    dw_reconnecting_retry(f);
}

void dw_reconnecting_client_connection_failed(dw_client_factory *factory, dw_connector *connector,
                                              const dw_reason *reason) {
    (void)reason;
    disconnected(of(factory), connector);
}

void dw_reconnecting_client_connection_lost(dw_client_factory *factory, dw_connector *connector,
                                            const dw_reason *reason) {
    (void)reason;
    disconnected(of(factory), connector);
}

void dw_reconnecting_client_factory_init(dw_reconnecting_client_factory *f,
                                         const dw_client_factory_class *cls) {
    *f = (dw_reconnecting_client_factory){
        .initial_delay = DW_RECONNECTING_INITIAL_DELAY,
        .max_delay = DW_RECONNECTING_MAX_DELAY,
        .factor = {28245729, 10391023}, /* a convergent of the continued fraction of e */
        .jitter_ppb = DW_RECONNECTING_JITTER_PPB,
        .max_retries = DW_RECONNECTING_NO_MAX,
        .outer_ = *cls,
    };
    if (cls->client_connection_failed == NULL) {
        f->outer_.client_connection_failed = dw_reconnecting_client_connection_failed;
    }
    if (cls->client_connection_lost == NULL) {
        f->outer_.client_connection_lost = dw_reconnecting_client_connection_lost;
    }
    dw_client_factory_init(&f->base, &f->outer_);
}

void dw_reconnecting_client_factory_fini(dw_reconnecting_client_factory *f) {
    f->stopped_ = true;
    stop_waiting(f);
    remember(f, NULL);
}
