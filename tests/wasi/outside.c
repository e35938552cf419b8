/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that talks to topics, one story per first argument. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char text[4097];

/* A line is a message. */
static void say(int count)
{
    FILE *file = fopen("/mqtt/out/room/temperature", "w");
    CHECK(file != NULL);
    for (int i = 0; i < count; i++) {
        CHECK(fprintf(file, "%d degrees\n", i) > 0);
    }
    CHECK(fclose(file) == 0);
    printf("said\n");
}

/* Answers what it is asked, until it is told to stop; tells first that it listens. */
static void echo(void)
{
    int in = open("/mqtt/in/ask", O_RDONLY);
    int out = open("/mqtt/out/answer", O_WRONLY);
    CHECK(in >= 0 && out >= 0 && write(out, "here", 4) == 4);
    for (;;) {
        struct pollfd both[2] = {{.fd = in, .events = POLLIN}, {.fd = out, .events = POLLOUT}};
        CHECK(poll(both, 1, -1) == 1 && (both[0].revents & POLLIN) != 0);
        ssize_t size = read(in, text, 5);
        CHECK(size >= 0);
        while (size == 5 || strncmp(text, "stop", 4) != 0) { /* the rest of a long message comes with further reads */
            CHECK(write(out, text, (size_t)size) == size);
            if (size < 5) {
                break;
            }
            size = read(in, text, 5);
        }
        if (size == 4 && memcmp(text, "stop", 4) == 0) {
            printf("stopped\n");
            return;
        }
    }
}

static void quiet(void)
{
    int in = open("/mqtt/in/ask", O_RDONLY | O_NONBLOCK);
    CHECK(in >= 0);
    CHECK(read(in, text, 10) == -1 && errno == EAGAIN);
    struct pollfd one = {.fd = in, .events = POLLIN};
    CHECK(poll(&one, 1, 50) == 0);
    CHECK(write(in, text, 1) == -1 && (errno == EBADF || errno == ENOTCAPABLE));
    int out = open("/mqtt/out/answer", O_WRONLY | O_NONBLOCK);
    CHECK(out >= 0 && lseek(out, 0, SEEK_SET) == -1 && errno == ESPIPE);
    CHECK(write(out, text, 4097) == -1 && errno == EMSGSIZE);
    printf("quiet\n");
}

static int error_of(const char *path, int flags)
{
    int fd = open(path, flags);
    return fd >= 0 ? 0 : errno;
}

static void denied(void)
{
    CHECK(error_of("/mqtt/out/secret", O_WRONLY) == ENOTCAPABLE);
    CHECK(error_of("/mqtt/in/answer", O_RDONLY) == ENOTCAPABLE);
    CHECK(error_of("/mqtt/out/room/+", O_WRONLY) == EINVAL);
    CHECK(error_of("/mqtt/out/room//x", O_WRONLY) == EINVAL);
    CHECK(error_of("/mqtt/out/room/../x", O_WRONLY) == EINVAL);
    CHECK(error_of("/mqtt/other", O_RDONLY) == ENOENT);
    CHECK(error_of("/mqtt/out/room/temperature", O_WRONLY) == 0);
    CHECK(unlink("/mqtt/out/room/temperature") == -1 && errno == ENOTCAPABLE);
    CHECK(mkdir("/mqtt/out/x", 0777) == -1 && errno == ENOTCAPABLE);
    printf("denied\n");
}

/* More than the way to the agent holds: waits until somebody takes it. */
static void flood(int count)
{
    int out = open("/mqtt/out/answer", O_WRONLY);
    CHECK(out >= 0);
    for (int i = 0; i < count; i++) {
        memset(text, 'a' + i % 26, 1000);
        CHECK(write(out, text, 1000) == 1000);
    }
    CHECK(close(out) == 0);
    printf("flooded\n");
}

int main(int argc, char **argv)
{
    const char *story = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(story, "say") == 0) {
        say(number);
    } else if (strcmp(story, "echo") == 0) {
        echo();
    } else if (strcmp(story, "quiet") == 0) {
        quiet();
    } else if (strcmp(story, "denied") == 0) {
        denied();
    } else if (strcmp(story, "flood") == 0) {
        flood(number);
    }
    return 0;
}
