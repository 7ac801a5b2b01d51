// The files of the page and of the API's description, as bytes of the program. Swift has no #embed.
#pragma once
#include <stddef.h>

struct sorad_page_file {
    const char *path; // as a browser asks for it
    const char *type; // its media type
    const unsigned char *bytes;
    size_t count;
};
size_t sorad_page_count(void);
// `index` is below `sorad_page_count()`. Everything in the answer is static.
struct sorad_page_file sorad_page_file(size_t index);
