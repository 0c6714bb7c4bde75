// The version with the commit it was built from. A file of its own, as each commit compiles it anew.
#ifndef QINS_CLI_VERSION_H
#define QINS_CLI_VERSION_H

extern const char qins_version[]; // "0.1.0 (1a2b3c4d5e)"

#endif
