/* SPDX-License-Identifier: MIT */
/*
 * The buffers of the io_uring reactor, in one mapping that the kernel fills page by page as it is
 * used. The kernel takes provided buffers in the order they were given (io_uring_register(2),
 * IORING_REGISTER_PBUF_RING), so there are only as many as are needed at once, for the cache's
 * sake: the number doubles when they run out.
 *
 * Invariant: a provided buffer always comes back to the kernel, a taken one to the spare ones. What
 * lies below `fresh` is one or the other: the provided ones are marked in their note.
 */
#include "uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define RING_SIZE   (DW_URING_BUFFERS_MAX * sizeof(struct io_uring_buf))
#define MEMORY_SIZE (DW_URING_BUFFERS_MAX * DW_URING_BUFFER_STRIDE)

/* A spare one or one never used. */
static uint16_t pool_next(struct dw_uring_pool *pool) {
    uint16_t id = pool->spare;
    if (id != DW_URING_NO_BUFFER) {
        pool->spare = pool->notes[id].next;
    } else if (pool->fresh < DW_URING_BUFFERS_MAX) {
        id = (uint16_t)pool->fresh++;
        pool->notes[id].data = pool->memory + id * DW_URING_BUFFER_STRIDE;
    }
    return id;
}

static void provide_more(struct dw_uring_pool *pool, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint16_t id = pool_next(pool);
        if (id == DW_URING_NO_BUFFER) {
            break;
        }
        pool->notes[id].provided = true;
        pool->provided++;
        dw_uring_pool_provide(pool, id);
    }
}

int dw_uring_pool_init(struct dw_uring *self) {
    struct dw_uring_pool *pool = &self->pool;
    pool->spare = DW_URING_NO_BUFFER;
    pool->notes = dw_alloc(&self->live.base, DW_URING_BUFFERS_MAX * sizeof(*pool->notes));
    pool->memory = self->calls->map(MEMORY_SIZE);
    pool->ring = self->calls->map(RING_SIZE);
    if (pool->notes == NULL || pool->memory == NULL || pool->ring == NULL) {
        return -ENOMEM;
    }
    struct io_uring_buf_reg reg;
    memset(&reg, 0, sizeof(reg));
    reg.ring_addr = (uint64_t)(uintptr_t)pool->ring;
    reg.ring_entries = DW_URING_BUFFERS_MAX;
    int error = self->calls->register_buffers(&self->ring, &reg);
    if (error < 0) {
        return error;
    }
    io_uring_buf_ring_init(pool->ring);
    provide_more(pool, DW_URING_BUFFERS_FIRST);
    return 0;
}

/* After the ring has gone. */
void dw_uring_pool_fini(struct dw_uring *self) {
    struct dw_uring_pool *pool = &self->pool;
    if (pool->ring != NULL) {
        (void)munmap(pool->ring, RING_SIZE);
    }
    if (pool->memory != NULL) {
        (void)munmap(pool->memory, MEMORY_SIZE);
    }
    dw_free(&self->live.base, pool->notes);
}

void dw_uring_pool_grow(struct dw_uring *self) {
    if (!self->pool_grew) {
        self->pool_grew = true;
        provide_more(&self->pool, self->pool.provided);
    }
}

uint16_t dw_uring_pool_take(struct dw_uring *self) {
    uint16_t id = pool_next(&self->pool);
    if (id != DW_URING_NO_BUFFER) {
        self->pool.notes[id].provided = false;
    }
    return id;
}

void dw_uring_pool_keep(struct dw_uring_pool *pool, uint16_t id) {
    pool->notes[id].next = pool->spare;
    pool->spare = id;
}
