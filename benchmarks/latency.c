#define _GNU_SOURCE /* ppoll */
/* A load generator with little noise of its own: connections that send GET (and SET) and time every reply.
 *
 *   latency PORT SECONDS CONNECTIONS INTERVAL_US KEYS      INTERVAL_US 0: closed loop, GET and SET by turns
 *
 * Prints one line `count p50 p99 p999 max` in µs, then a line `ms max_us` for each 10 ms of the run: latency over time. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64, BUCKET_US = 10000 };

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int dial(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) exit(2);
    return fd;
}

static void ask(int fd, uint64_t n, long keys) {
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    char key[32], text[128];
    int length = snprintf(key, sizeof key, "paced:%ld", (long)(seed % (uint64_t)keys));
    if (n % 2)
        length = snprintf(text, sizeof text, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$5\r\nvalue\r\n", length, key);
    else
        length = snprintf(text, sizeof text, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", length, key);
    if (write(fd, text, (size_t)length) != length) exit(3);
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    if (argc != 6) return 1;
    int port = atoi(argv[1]), connections = atoi(argv[3]);
    double seconds = atof(argv[2]);
    uint64_t interval = (uint64_t)atoll(argv[4]);
    long keys = atol(argv[5]);
    if (connections < 1 || connections > MOST) return 1;
    size_t capacity = 1 << 22, count = 0, buckets = (size_t)(seconds * 1e6 / BUCKET_US) + 2;
    uint32_t *taken = malloc(capacity * sizeof *taken), *worst = calloc(buckets, sizeof *worst);
    struct pollfd polled[MOST];
    uint64_t sent[MOST], due[MOST], asked[MOST];
    if (taken == NULL || worst == NULL) return 4;
    prctl(PR_SET_TIMERSLACK, 1000);
    uint64_t start = now_us(), end = start + (uint64_t)(seconds * 1e6);
    for (int i = 0; i < connections; i++) {
        polled[i] = (struct pollfd){.fd = dial(port), .events = POLLIN};
        sent[i] = asked[i] = 0;
        due[i] = start + interval * (uint64_t)i / (uint64_t)connections;
    }
    for (uint64_t now = start; now < end && count < capacity; now = now_us()) {
        uint64_t next = now + 1000;
        for (int i = 0; i < connections; i++) {
            if (sent[i] == 0 && due[i] <= now) {
                sent[i] = now_us();
                ask(polled[i].fd, interval ? 0 : asked[i], keys);
                asked[i]++;
                due[i] += interval;
                if (due[i] < now) due[i] = now;
            }
            if (sent[i] == 0 && due[i] < next) next = due[i];
        }
        struct timespec wait = {0, next > now ? (long)(next - now) * 1000 : 0};
        if (ppoll(polled, (nfds_t)connections, &wait, NULL) <= 0) continue;
        for (int i = 0; i < connections; i++) {
            char reply[256];
            if (!(polled[i].revents & POLLIN)) continue;
            if (read(polled[i].fd, reply, sizeof reply) <= 0) return 5;
            uint64_t arrived = now_us(), took = arrived - sent[i];
            size_t bucket = (size_t)((sent[i] - start) / BUCKET_US);
            sent[i] = 0;
            taken[count++] = (uint32_t)took;
            if (bucket < buckets && took > worst[bucket]) worst[bucket] = (uint32_t)took;
            if (count == capacity) break;
        }
    }
    if (count == 0) return 6;
    qsort(taken, count, sizeof *taken, by_size);
    printf("%zu %u %u %u %u\n", count, taken[count / 2], taken[count * 99 / 100], taken[count * 999 / 1000],
           taken[count - 1]);
    for (size_t i = 0; i < buckets; i++)
        if (worst[i]) printf("%zu %u\n", i * BUCKET_US / 1000, worst[i]);
    return 0;
}
