/*
 * client.c: the reference of `npm run bench:generator`, a load generator in C.
 *
 * It does what bench/load does in closed mode, in the same way: N connections, one request in flight on each,
 * one thread, one epoll set, every echoed byte compared, every response timed. All connections are open
 * before the first byte is sent.
 *
 *     client --port P [--clients N] [--bytes B] [--warmup-ms W] [--duration-ms D]
 *
 * Prints one line of JSON: completed and perSecond of the window, average and worst response time, own CPU
 * share. Exit codes: 0 measured; 1 a connection failed or a byte was wrong; 2 usage error. Only 127.0.0.1.
 *
 * Messages are windows of one random ring, each request at another offset, as in bench/load/pattern.ts, so
 * that a stale or swapped answer is detected.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATTERNS = 8192, STEP = 1021, CLIENTS_MAX = 4096, BYTES_MAX = 65536, EVENTS_MAX = 512, STALL_MS = 5000 };

struct client {
    int fd;
    unsigned offset; /* of the message in flight */
    int sent, answered;
    double started_ms;
};

static struct client clients[CLIENTS_MAX];
static int client_count = 1, message_bytes = 64, port, warmup_ms = 1000, duration_ms = 2000;
static char ring[PATTERNS + BYTES_MAX], buffer[BYTES_MAX];
static unsigned next_offset;
static int epfd;

/* Counted while the window is open. */
static int counting;
static long completed;
static double window_began_ms, sum_ms, worst_ms;

static void die(const char *doing)
{
    perror(doing);
    exit(1);
}

static void fail(const char *what)
{
    fprintf(stderr, "client: %s\n", what);
    exit(1);
}

static double clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void watch(int op, struct client *client, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(epfd, op, client->fd, &event) < 0)
        die("epoll_ctl");
}

/* Sends what the socket accepts; waits for EPOLLOUT only if bytes are left. */
static void send_rest(struct client *client, int was_waiting)
{
    while (client->sent < message_bytes) {
        ssize_t n = send(client->fd, ring + client->offset + client->sent,
                         (size_t)(message_bytes - client->sent), MSG_NOSIGNAL);
        if (n >= 0)
            client->sent += (int)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            die("send");
    }
    int waits = client->sent < message_bytes;
    if (waits != was_waiting)
        watch(EPOLL_CTL_MOD, client, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void ask(struct client *client, double now_ms)
{
    next_offset = (next_offset + STEP) & (PATTERNS - 1);
    client->offset = next_offset;
    client->sent = client->answered = 0;
    client->started_ms = now_ms;
    send_rest(client, 0);
}

static void answered(struct client *client)
{
    double now_ms = clock_ms(CLOCK_MONOTONIC);
    if (counting) {
        completed++;
        if (client->started_ms >= window_began_ms) {
            double took_ms = now_ms - client->started_ms;
            sum_ms += took_ms;
            if (took_ms > worst_ms)
                worst_ms = took_ms;
        }
    }
    ask(client, now_ms);
}

static void receive(struct client *client)
{
    ssize_t n = recv(client->fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        die("recv");
    if (n == 0)
        fail("the server closed a connection early");
    if (client->answered + n > message_bytes || memcmp(buffer, ring + client->offset + client->answered, (size_t)n) != 0)
        fail("received a wrong byte");
    client->answered += (int)n;
    if (client->answered == message_bytes)
        answered(client);
}

static void pump(double for_ms)
{
    struct epoll_event events[EVENTS_MAX];
    double now_ms = clock_ms(CLOCK_MONOTONIC), until_ms = now_ms + for_ms;
    while (now_ms < until_ms) {
        int count = epoll_wait(epfd, events, EVENTS_MAX, STALL_MS);
        if (count == 0)
            fail("no answer for 5 s");
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                send_rest(client, 1);
            if (events[i].events & ~(unsigned)EPOLLOUT)
                receive(client);
        }
        now_ms = clock_ms(CLOCK_MONOTONIC);
    }
}

static void connect_all(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < client_count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            die("socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
            die("connect");
        /* Without a listener TCP may connect a socket to itself, which counts as refused: src/sys/self-connect.ts. */
        struct sockaddr_in own;
        socklen_t length = sizeof own;
        if (getsockname(fd, (struct sockaddr *)&own, &length) == 0 && own.sin_port == address.sin_port)
            fail("connect: refused (connected to itself)");
        if (message_bytes > 1024)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
            die("fcntl");
        clients[i].fd = fd;
        watch(EPOLL_CTL_ADD, &clients[i], EPOLLIN);
    }
}

static int number(const char *text, int low, int high)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "client: not a number from %d to %d: %s\n", low, high, text);
        exit(2);
    }
    return (int)value;
}

static void parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--port") == 0)
            port = number(argv[i + 1], 1, 65535);
        else if (i + 1 < argc && strcmp(argv[i], "--clients") == 0)
            client_count = number(argv[i + 1], 1, CLIENTS_MAX);
        else if (i + 1 < argc && strcmp(argv[i], "--bytes") == 0)
            message_bytes = number(argv[i + 1], 1, BYTES_MAX);
        else if (i + 1 < argc && strcmp(argv[i], "--warmup-ms") == 0)
            warmup_ms = number(argv[i + 1], 0, 600000);
        else if (i + 1 < argc && strcmp(argv[i], "--duration-ms") == 0)
            duration_ms = number(argv[i + 1], 1, 600000);
        else {
            fprintf(stderr, "usage: client --port P [--clients N] [--bytes B] [--warmup-ms W] [--duration-ms D]\n");
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* killed together with the benchmark */
    unsigned state = 0x9e3779b9u;
    for (size_t i = 0; i < sizeof ring; i++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        ring[i] = (char)(state >> 24);
    }
    epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0)
        die("epoll_create1");
    connect_all();
    for (int i = 0; i < client_count; i++)
        ask(&clients[i], clock_ms(CLOCK_MONOTONIC));
    pump(warmup_ms);
    counting = 1;
    window_began_ms = clock_ms(CLOCK_MONOTONIC);
    double cpu_ms = -clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    pump(duration_ms);
    cpu_ms += clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    double window_ms = clock_ms(CLOCK_MONOTONIC) - window_began_ms;
    printf("{\"completed\":%ld,\"perSecond\":%.1f,\"averageMs\":%.4f,\"worstMs\":%.4f,\"cpuShare\":%.3f}\n",
           completed, completed * 1e3 / window_ms, completed > 0 ? sum_ms / completed : 0.0, worst_ms,
           cpu_ms / window_ms);
    return 0;
}
