// A stand-in for a library of Windows that older versions of Wine lack, with the one function that Rust's standard
// library takes from it.
#include <stddef.h>

__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *to, unsigned long len);

__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *to, size_t len) {
    while (len > 0) {
        unsigned long part = len > 0x10000000 ? 0x10000000 : (unsigned long)len;
        if (!SystemFunction036(to, part))
            return 0;
        to += part;
        len -= part;
    }
    return 1;
}
