#include "kit.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

size_t count_words(const char *text) {
  size_t words = 0;
  int inside = 0;
  for (; *text; text++) {
    if (isspace((unsigned char)*text)) {
      inside = 0;
    } else if (!inside) {
      inside = 1;
      words += 1;
    }
  }
  return words;
}

void reverse(const char *text, char *out) {
  size_t length = strlen(text);
  for (size_t i = 0; i < length; i++) {
    out[i] = text[length - 1 - i];
  }
  out[length] = 0;
}

int is_palindrome(const char *text) {
  size_t left = 0, right = strlen(text);
  while (left < right) {
    if (!isalnum((unsigned char)text[left])) {
      left += 1;
    } else if (!isalnum((unsigned char)text[right - 1])) {
      right -= 1;
    } else if (tolower((unsigned char)text[left]) != tolower((unsigned char)text[right - 1])) {
      return 0;
    } else {
      left += 1;
      right -= 1;
    }
  }
  return 1;
}

void caesar(const char *text, int shift, char *out) {
  int move = ((shift % 26) + 26) % 26;
  for (; *text; text++, out++) {
    if (*text >= 'a' && *text <= 'z') {
      *out = (char)('a' + (*text - 'a' + move) % 26);
    } else if (*text >= 'A' && *text <= 'Z') {
      *out = (char)('A' + (*text - 'A' + move) % 26);
    } else {
      *out = *text;
    }
  }
  *out = 0;
}

void trim(const char *text, char *out) {
  size_t start = 0, end = strlen(text);
  while (start < end && isspace((unsigned char)text[start])) {
    start += 1;
  }
  while (end > start && isspace((unsigned char)text[end - 1])) {
    end -= 1;
  }
  memcpy(out, text + start, end - start);
  out[end - start] = 0;
}

void run_length(const char *text, char *out) {
  *out = 0;
  while (*text) {
    size_t count = 1;
    while (text[count] == *text) {
      count += 1;
    }
    if (count > 1) {
      out += sprintf(out, "%zu", count);
    }
    *out++ = *text;
    *out = 0;
    text += count;
  }
}

int compare_natural(const char *a, const char *b) {
  while (*a && *b) {
    if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
      long x = 0, y = 0;
      while (isdigit((unsigned char)*a)) {
        x = 10 * x + (*a++ - '0');
      }
      while (isdigit((unsigned char)*b)) {
        y = 10 * y + (*b++ - '0');
      }
      if (x != y) {
        return x < y ? -1 : 1;
      }
    } else if (*a != *b) {
      return *a < *b ? -1 : 1;
    } else {
      a++;
      b++;
    }
  }
  return (*a != 0) - (*b != 0);
}

void wrap(const char *text, size_t width, char *out) {
  size_t column = 0;
  while (*text) {
    while (*text == ' ') {
      text++;
    }
    size_t length = strcspn(text, " ");
    if (length == 0) {
      break;
    }
    if (column > 0 && column + 1 + length > width) {
      *out++ = '\n';
      column = 0;
    } else if (column > 0) {
      *out++ = ' ';
      column += 1;
    }
    memcpy(out, text, length);
    out += length;
    column += length;
    text += length;
  }
  *out = 0;
}
