/* Small operations on text. A buffer must have room for the result and its final zero. */
#ifndef KIT_H
#define KIT_H

#include <stddef.h>

size_t count_words(const char *text);
void reverse(const char *text, char *out);
int is_palindrome(const char *text);
void caesar(const char *text, int shift, char *out);
void trim(const char *text, char *out);
void run_length(const char *text, char *out);
int compare_natural(const char *a, const char *b);
void wrap(const char *text, size_t width, char *out);

#endif
