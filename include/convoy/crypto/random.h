/* Randomness, for those who then pass it on as an argument. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* n unpredictable bytes. Any thread; never fails after cv_crypto_init(). */
void cv_random_bytes(void *ret_bytes, size_t n);
/* Any 32-bit number, each as likely as the other. */
uint32_t cv_random_u32(void);
/* A number in [0, bound), each as likely as the other. bound is not 0. */
uint32_t cv_random_below(uint32_t bound);
