/*
 * client.c: a load generator in C, by which bench/load is judged (`npm run bench:generator`, and the self-check of
 * bench and compare).
 *
 * It does what bench/load does in three of its modes, in the same way: one thread, one epoll set, every echoed byte
 * compared, every response timed.
 *
 *     client --port P [--mode closed|open|burst] [--clients N] [--bytes B] [--warmup-ms W] [--duration-ms D]
 *            [--rate R] [--lead-us L] [--requests N]
 *
 * closed: one request in flight on each connection. open: R requests a second at even gaps, each on the connection
 * that has been free longest, timed from when it was due, for which it wakes up as early as bench/load/open.ts does
 * (--lead-us 0: only then); the window has exactly rate times duration. burst: all
 * clients connect at once, send N requests one after another and close; the first is timed from connect(); bursts are
 * repeated until the duration is over, without a warm-up.
 *
 * Prints one line of JSON: completed and perSecond of the window, response times, in open mode the median lateness of
 * the sends, own CPU share. Exit codes: 0 measured; 1 a connection failed or a byte was wrong; 2 usage error. Only
 * 127.0.0.1.
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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PATTERNS = 8192, STEP = 1021, CLIENTS_MAX = 4096, BYTES_MAX = 65536, EVENTS_MAX = 512, STALL_MS = 5000 };
enum { SAMPLES_MAX = 8 * 1024 * 1024 };
enum mode { CLOSED, OPEN, BURST };

struct client {
    int fd;
    unsigned offset; /* of the message in flight */
    int sent, answered;
    int requests_left; /* burst: requests still to send */
    int connecting, ending;
    double started_ms;
};

static struct client clients[CLIENTS_MAX];
static int client_count = 1, message_bytes = 64, port, warmup_ms = 1000, duration_ms = 2000;
static int requests = 1;
static double rate = 1000, lead_max_ms = 0.2;
static enum mode mode = CLOSED;
static char ring[PATTERNS + BYTES_MAX], buffer[BYTES_MAX];
static unsigned next_offset;
static int epfd;

/* Open mode: connections without a request, first in, first out; and the requests due from began_ms on. */
static struct client *idle[CLIENTS_MAX];
static unsigned idle_first, idle_count;
static double began_ms, lead_ms;
static long due_count, due_limit, outstanding;
/* Burst mode: connections that are not closed. */
static int unfinished;

/* Counted while the window is open. */
static int counting;
static long completed, sample_count, late_count;
static double window_began_ms, sum_ms, worst_ms;
static float samples[SAMPLES_MAX];
/* Open mode: from when a request was due to its send. */
static float lateness[SAMPLES_MAX];

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

static void ask(struct client *client, double started_ms)
{
    next_offset = (next_offset + STEP) & (PATTERNS - 1);
    client->offset = next_offset;
    client->sent = client->answered = 0;
    client->started_ms = started_ms;
    send_rest(client, client->connecting);
}

static void record(double took_ms)
{
    sum_ms += took_ms;
    if (took_ms > worst_ms)
        worst_ms = took_ms;
    if (sample_count < SAMPLES_MAX)
        samples[sample_count++] = (float)took_ms;
}

static void answered(struct client *client)
{
    double now_ms = clock_ms(CLOCK_MONOTONIC);
    if (counting)
        completed++;
    if (client->started_ms >= window_began_ms)
        record(now_ms - client->started_ms);
    if (mode == OPEN) {
        outstanding--;
        idle[(idle_first + idle_count++) % CLIENTS_MAX] = client;
    } else if (mode == CLOSED || client->requests_left-- > 0)
        ask(client, now_ms);
    else {
        client->ending = 1;
        shutdown(client->fd, SHUT_WR);
    }
}

static void receive(struct client *client)
{
    ssize_t n = recv(client->fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        die("recv");
    if (n == 0 && client->ending) {
        close(client->fd);
        unfinished--;
        return;
    }
    if (n == 0)
        fail("the server closed a connection early");
    if (client->answered + n > message_bytes || memcmp(buffer, ring + client->offset + client->answered, (size_t)n) != 0)
        fail("received a wrong byte");
    client->answered += (int)n;
    if (client->answered == message_bytes)
        answered(client);
}

/* Open mode: sends what is due, and returns the milliseconds until the next is. */
static double send_due(double now_ms)
{
    while (due_count < due_limit && idle_count > 0) {
        double due_ms = began_ms + (double)due_count * 1e3 / rate;
        if (due_ms > now_ms)
            return due_ms - now_ms > lead_ms ? due_ms - now_ms - lead_ms : 0;
        struct client *client = idle[idle_first];
        idle_first = (idle_first + 1) % CLIENTS_MAX;
        idle_count--;
        due_count++;
        outstanding++;
        if (counting && late_count < SAMPLES_MAX)
            lateness[late_count++] = (float)(clock_ms(CLOCK_MONOTONIC) - due_ms);
        ask(client, due_ms);
    }
    return STALL_MS;
}

static int finished(double now_ms, double until_ms)
{
    if (mode == BURST)
        return unfinished == 0;
    return mode == OPEN ? due_count == due_limit && (outstanding == 0 || counting) : now_ms >= until_ms;
}

/* epoll_pwait2(2) by its number, as older C libraries have no function for it. */
static int wait_for(struct epoll_event *events, double ms)
{
    struct timespec limit = {.tv_sec = (time_t)(ms / 1e3)};
    limit.tv_nsec = (long)((ms - (double)limit.tv_sec * 1e3) * 1e6);
    return (int)syscall(441, epfd, events, EVENTS_MAX, &limit, NULL, 8);
}

static void pump(double for_ms)
{
    struct epoll_event events[EVENTS_MAX];
    double now_ms = clock_ms(CLOCK_MONOTONIC), until_ms = now_ms + for_ms;
    while (!finished(now_ms, until_ms)) {
        double limit_ms = mode == OPEN ? send_due(now_ms) : STALL_MS;
        int count = wait_for(events, limit_ms);
        if (count == 0 && limit_ms == STALL_MS)
            fail("no answer for 5 s");
        if (count < 0 && errno != EINTR)
            die("epoll_pwait2");
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                send_rest(client, 1);
                client->connecting = 0;
            }
            if (events[i].events & ~(unsigned)EPOLLOUT)
                receive(client);
        }
        now_ms = clock_ms(CLOCK_MONOTONIC);
    }
}

static struct sockaddr_in target(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int tcp_socket(int flags)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        die("socket");
    if (message_bytes > 1024)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void connect_all(void)
{
    struct sockaddr_in address = target();
    for (int i = 0; i < client_count; i++) {
        int fd = tcp_socket(0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
            die("connect");
        /* Without a listener TCP may connect a socket to itself, which counts as refused: src/sys/self-connect.ts. */
        struct sockaddr_in own;
        socklen_t length = sizeof own;
        if (getsockname(fd, (struct sockaddr *)&own, &length) == 0 && own.sin_port == address.sin_port)
            fail("connect: refused (connected to itself)");
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
            die("fcntl");
        clients[i].fd = fd;
        watch(EPOLL_CTL_ADD, &clients[i], EPOLLIN);
    }
}

static void burst(void)
{
    struct sockaddr_in address = target();
    unfinished = client_count;
    for (int i = 0; i < client_count; i++) {
        double now_ms = clock_ms(CLOCK_MONOTONIC);
        int fd = tcp_socket(SOCK_NONBLOCK);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
            die("connect");
        clients[i] = (struct client){.fd = fd, .requests_left = requests - 1};
        watch(EPOLL_CTL_ADD, &clients[i], EPOLLIN);
        ask(&clients[i], now_ms);
    }
    pump(0);
}

static void run_open(double for_ms)
{
    began_ms = clock_ms(CLOCK_MONOTONIC);
    due_count = 0;
    lead_ms = lead_max_ms < 100 / rate ? lead_max_ms : 100 / rate;
    due_limit = (long)(for_ms * rate / 1e3 + 0.5);
    pump(for_ms);
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
            duration_ms = number(argv[i + 1], 0, 600000);
        else if (i + 1 < argc && strcmp(argv[i], "--requests") == 0)
            requests = number(argv[i + 1], 1, 1000000);
        else if (i + 1 < argc && strcmp(argv[i], "--lead-us") == 0)
            lead_max_ms = number(argv[i + 1], 0, 1000) / 1e3;
        else if (i + 1 < argc && strcmp(argv[i], "--rate") == 0)
            rate = number(argv[i + 1], 1, 1000000);
        else if (i + 1 < argc && strcmp(argv[i], "--mode") == 0 && strcmp(argv[i + 1], "closed") == 0)
            mode = CLOSED;
        else if (i + 1 < argc && strcmp(argv[i], "--mode") == 0 && strcmp(argv[i + 1], "open") == 0)
            mode = OPEN;
        else if (i + 1 < argc && strcmp(argv[i], "--mode") == 0 && strcmp(argv[i + 1], "burst") == 0)
            mode = BURST;
        else {
            fprintf(stderr, "usage: client --port P [--mode closed|open|burst] [--clients N] [--bytes B] [--warmup-ms W] "
                            "[--duration-ms D] [--rate R] [--lead-us L] [--requests N]\n");
            exit(2);
        }
    }
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Nearest rank. The values must be in ascending order. */
static double percentile(const float *values, long count, double percent)
{
    long rank = (long)((double)count * percent / 100 + 0.999999);
    return count == 0 ? 0 : (double)values[rank > 0 ? rank - 1 : 0];
}

static void load(void)
{
    if (mode == BURST) {
        double until_ms = clock_ms(CLOCK_MONOTONIC) + duration_ms;
        do
            burst();
        while (clock_ms(CLOCK_MONOTONIC) < until_ms);
    } else if (mode == OPEN)
        run_open(duration_ms);
    else
        pump(duration_ms);
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
    prctl(PR_SET_TIMERSLACK, 1); /* waits end on time, not up to 50 us later */
    window_began_ms = 1e300;
    if (mode != BURST)
        connect_all();
    if (mode == OPEN) {
        for (int i = 0; i < client_count; i++)
            idle[idle_count++] = &clients[i];
        run_open(warmup_ms);
    } else if (mode == CLOSED) {
        for (int i = 0; i < client_count; i++)
            ask(&clients[i], clock_ms(CLOCK_MONOTONIC));
        pump(warmup_ms);
    }
    counting = 1;
    window_began_ms = clock_ms(CLOCK_MONOTONIC);
    double cpu_ms = -clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    load();
    cpu_ms += clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    double window_ms = clock_ms(CLOCK_MONOTONIC) - window_began_ms;
    counting = 0;
    if (mode == OPEN)
        pump(0); /* the answers still outstanding */
    qsort(samples, (size_t)sample_count, sizeof samples[0], ascending);
    qsort(lateness, (size_t)late_count, sizeof lateness[0], ascending);
    printf("{\"completed\":%ld,\"perSecond\":%.1f,\"averageMs\":%.4f,\"worstMs\":%.4f,\"p50Ms\":%.5f,\"p90Ms\":%.5f,"
           "\"p99Ms\":%.5f,\"lateP50Ms\":%.5f,\"cpuShare\":%.3f}\n",
           completed, completed * 1e3 / window_ms, sample_count > 0 ? sum_ms / (double)sample_count : 0.0, worst_ms,
           percentile(samples, sample_count, 50), percentile(samples, sample_count, 90),
           percentile(samples, sample_count, 99), percentile(lateness, late_count, 50), cpu_ms / window_ms);
    return 0;
}
