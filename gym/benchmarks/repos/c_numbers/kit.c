#include "kit.h"

#include <string.h>

long gcd(long a, long b) {
  while (b != 0) {
    long rest = a % b;
    a = b;
    b = rest;
  }
  return a < 0 ? -a : a;
}

int is_prime(long n) {
  if (n < 2) {
    return 0;
  }
  for (long d = 2; d * d <= n; d++) {
    if (n % d == 0) {
      return 0;
    }
  }
  return 1;
}

long power_mod(long base, long exponent, long modulus) {
  long result = 1 % modulus;
  base %= modulus;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) {
      result = result * base % modulus;
    }
    base = base * base % modulus;
  }
  return result;
}

/* The place of the first element that is not below value. */
size_t search(const int *sorted, size_t n, int value) {
  size_t low = 0, high = n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (sorted[middle] < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void sort(int *values, size_t n) {
  for (size_t i = 1; i < n; i++) {
    int value = values[i];
    size_t place = i;
    while (place > 0 && values[place - 1] > value) {
      values[place] = values[place - 1];
      place -= 1;
    }
    values[place] = value;
  }
}

int is_leap(int year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* 0 is Sunday. */
int day_of_week(int year, int month, int day) {
  static const int offsets[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
  if (month < 3) {
    year -= 1;
  }
  return (year + year / 4 - year / 100 + year / 400 + offsets[month - 1] + day) % 7;
}

void to_roman(int n, char *out) {
  static const int values[] = {1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1};
  static const char *const signs[] = {"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"};
  *out = 0;
  for (int i = 0; i < 13; i++) {
    while (n >= values[i]) {
      strcat(out, signs[i]);
      n -= values[i];
    }
  }
}

long binomial(int n, int k) {
  if (k < 0 || k > n) {
    return 0;
  }
  long result = 1;
  for (int i = 1; i <= k; i++) {
    result = result * (n - k + i) / i;
  }
  return result;
}
