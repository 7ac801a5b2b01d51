#include "sorad_page.h"

#pragma clang diagnostic ignored "-Wc23-extensions"
static const unsigned char page_html[] = {
#embed "files/page.html"
};
static const unsigned char page_css[] = {
#embed "files/page.css"
};
static const unsigned char page_js[] = {
#embed "files/page.js"
};
static const unsigned char icon_svg[] = {
#embed "files/icon.svg"
};
static const unsigned char openapi_json[] = {
#embed "files/openapi.json"
};

#define FILE_AT(path, type, bytes) {path, type, bytes, sizeof bytes}
static const struct sorad_page_file files[] = {
    FILE_AT("/", "text/html; charset=utf-8", page_html),
    FILE_AT("/page.css", "text/css; charset=utf-8", page_css),
    FILE_AT("/page.js", "text/javascript; charset=utf-8", page_js),
    FILE_AT("/icon.svg", "image/svg+xml", icon_svg),
    FILE_AT("/openapi.json", "application/json", openapi_json),
};

size_t sorad_page_count(void) { return sizeof files / sizeof *files; }

struct sorad_page_file sorad_page_file(size_t index) { return files[index]; }
