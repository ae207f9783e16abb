/* Randomness from libsodium, which takes it from getrandom(2). */
#include <sodium.h>

#include <convoy/crypto/random.h>

void cv_random_bytes(void *ret_bytes, size_t n)
{
	randombytes_buf(ret_bytes, n);
}

uint32_t cv_random_u32(void)
{
	return randombytes_random();
}

uint32_t cv_random_below(uint32_t bound)
{
	return randombytes_uniform(bound);
}
