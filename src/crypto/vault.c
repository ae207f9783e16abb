/*
 * The vault: small secrets in few locked pages.
 *
 * sodium_malloc() gives what a secret needs (guard pages on both sides, mlock, MADV_DONTDUMP) but
 * spends at least four pages and three mappings on every object. So the vault asks it for chunks
 * and cuts them into slots:
 *
 *   chunk   | chunk head | slot | slot | slot | ...
 *   slot    | slot head (owner, next free) to 64 bytes | object, rounded up to 64 bytes |
 *
 * An object is 64-byte aligned, so that its fields lie in the cache lines its struct means them to.
 * The head in front of it lets an object find its way home without being told the vault.
 *
 * Free slots hold zeros: they are wiped on the way in, not on the way out, so that a secret does
 * not wait for the next owner.
 */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include <convoy/crypto/secret.h>

enum {
	ALIGN = 64,
	CHUNK_SIZE = 65536, /* 48 keypairs; not tuned */
};

struct chunk {
	struct chunk *next;
};

struct slot {
	_Alignas(ALIGN) struct cv_vault *owner;
	struct slot *next_free;
	uint8_t object[] __attribute__((aligned(ALIGN)));
};

_Static_assert(sizeof(struct slot) == ALIGN, "the head is one line");

void cv_vault_init(struct cv_vault *vault, size_t object_size)
{
	size_t slot_size = sizeof(struct slot) + (object_size + ALIGN - 1) / ALIGN * ALIGN;

	assert(object_size > 0 && object_size <= CHUNK_SIZE / 2);
	*vault = (struct cv_vault){
		.slot_size = slot_size,
		.slots_per_chunk = (CHUNK_SIZE - ALIGN) / slot_size,
	};
}

void cv_vault_done(struct cv_vault *vault)
{
	assert(vault->taken == 0);
	while (vault->chunks) {
		struct chunk *chunk = vault->chunks;

		vault->chunks = chunk->next;
		sodium_free(chunk);
	}
	vault->free = NULL;
}

static bool grow(struct cv_vault *vault)
{
	/* The chunk ends on a page boundary (sodium_malloc(3) puts it against its guard page) and
	 * its size is a multiple of 64, so it begins on one. */
	struct chunk *chunk = sodium_malloc(CHUNK_SIZE);
	uint8_t *at;

	if (!chunk)
		return false;
	assert((uintptr_t)chunk % ALIGN == 0);
	/* sodium_malloc() locks too, but does not tell whether it could. */
	if (sodium_mlock(chunk, CHUNK_SIZE))
		vault->unlocked = true;
	memset(chunk, 0, CHUNK_SIZE);
	chunk->next = vault->chunks;
	vault->chunks = chunk;
	at = (uint8_t *)chunk + ALIGN;
	for (size_t i = 0; i < vault->slots_per_chunk; i++, at += vault->slot_size) {
		struct slot *slot = (void *)at;

		slot->owner = vault;
		slot->next_free = vault->free;
		vault->free = slot;
	}
	return true;
}

void *cv_vault_take(struct cv_vault *vault)
{
	struct slot *slot;

	if (!vault->free && !grow(vault))
		return NULL;
	slot = vault->free;
	vault->free = slot->next_free;
	vault->taken++;
	return slot->object;
}

void cv_vault_return(void *object)
{
	struct slot *slot;
	struct cv_vault *vault;

	if (!object)
		return;
	slot = (void *)((uint8_t *)object - offsetof(struct slot, object));
	vault = slot->owner;
	sodium_memzero(object, vault->slot_size - sizeof(*slot));
	slot->next_free = vault->free;
	vault->free = slot;
	vault->taken--;
}

bool cv_vault_is_locked(const struct cv_vault *vault)
{
	return !vault->unlocked;
}
