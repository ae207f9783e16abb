/* The tables that a packet meets: routes, the index, the replay window. */
#pragma once

/* Measure and print them. */
void tables_measure(void);
