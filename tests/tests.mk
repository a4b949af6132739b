# What CI runs. Each suite says what it needs and how long it may take.
## deps          install the Debian 12 packages that building, checking and testing need
## check         clang-format, warnings as errors, clang-tidy, cppcheck, unit tests under ASan and UBSan
## test          everything CI runs
## demo          the main job on throwaway servers; demo-stop cleans up
