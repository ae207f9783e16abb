/* bare_end.h for tests: with cmocka and the headers that cmocka.h needs before it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bare_end.h"
