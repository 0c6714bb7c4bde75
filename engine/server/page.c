// The page; see page.h. The files themselves, put between two symbols by the assembler.
#include "engine/server/page.h"

extern const char page[], page_end[];
__asm__(".pushsection .rodata\n"
        ".global page, page_end\n"
        ".hidden page, page_end\n"
        "page: .incbin \"engine/server/page.html\"\n"
        "page_end:\n"
        ".global qins_page_policy\n"
        ".hidden qins_page_policy\n"
        "qins_page_policy: .incbin \"" PAGE_POLICY "\"\n" // made by page_policy.sh
        ".byte 0\n"
        ".popsection\n");

const char *qins_page(size_t *size) {
    *size = (size_t)(page_end - page);
    return page;
}
