/* Small operations on whole numbers. */
#ifndef KIT_H
#define KIT_H

#include <stddef.h>

long gcd(long a, long b);
int is_prime(long n);
long power_mod(long base, long exponent, long modulus);
size_t search(const int *sorted, size_t n, int value);
void sort(int *values, size_t n);
int is_leap(int year);
int day_of_week(int year, int month, int day);
void to_roman(int n, char *out);
long binomial(int n, int k);

#endif
