// SPDX-License-Identifier: MIT
// quire_launch FILE COMMAND...: runs the command and writes to FILE its CPU seconds and the most
// memory that it, or a process of its, had at once, in bytes. The host counts the memory of who
// starts a program as the program's: this one is small.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char** arguments) {
    if (count < 3) return 125;
    const pid_t child = fork();
    if (child == 0) {
        execvp(arguments[2], arguments + 2);
        _exit(127);
    }
    int status = 0;
    rusage usage{};
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) return 125;
    FILE* out = fopen(arguments[1], "w");
    if (out == nullptr) return 125;
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    fprintf(out, "%.6f %ld\n", seconds(usage.ru_utime) + seconds(usage.ru_stime),
            usage.ru_maxrss * 1024);
    fclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
