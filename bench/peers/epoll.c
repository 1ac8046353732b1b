/*
 * epoll.c: the reference of `npm run bench:parity`, a TCP echo server in C.
 *
 * It does what the cmwq server does, in the same way: the main thread accepts, each connection goes to the
 * worker thread with the fewest, every worker waits on its own epoll set (level-triggered) and echoes through
 * one 64 KiB buffer. It parses no requests and logs nothing.
 *
 *     epoll [--threads N] [--port P]      prints "listening PORT" once it is ready
 *
 * Threads: main owns a connection until EPOLL_CTL_ADD, then its worker, which also closes it.
 * `workers[i].connections` is the only word that both write, and it is atomic.
 *
 * Order: the bytes of one connection are echoed in order. While some are unsent, the connection waits only
 * for EPOLLOUT, so a client that does not read holds at most one buffer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 * 1024, EVENTS_MAX = 256, THREADS_MAX = 256, BACKLOG = 4096 };

/* The unsent rest of one echo. `bytes` is NULL when everything was sent. */
struct rest {
    char *bytes;
    size_t offset, length;
};

struct worker {
    pthread_t thread;
    int epfd;
    atomic_int connections;
} __attribute__((aligned(64)));

static struct worker workers[THREADS_MAX];
static int worker_count = 2;
static struct rest *rests; /* indexed by descriptor, up to the descriptor limit */
static size_t fd_limit;

static void die(const char *doing)
{
    perror(doing);
    exit(1);
}

static void watch(int epfd, int op, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epfd, op, fd, &event) < 0)
        die("epoll_ctl");
}

/* close() also removes the descriptor from the epoll set; the entry must be cleared before the descriptor is reused. */
static void close_connection(struct worker *worker, int fd)
{
    free(rests[fd].bytes);
    rests[fd] = (struct rest){0};
    atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_relaxed);
    close(fd);
}

/* Sends what the socket accepts. Returns the count, or -1 when the connection is broken. */
static ssize_t send_some(int fd, const char *bytes, size_t length)
{
    size_t sent = 0;
    while (sent < length) {
        ssize_t n = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)sent;
}

/* Copies the unsent bytes and stops reading from this client until they are sent. */
static int keep_rest(struct worker *worker, int fd, const char *bytes, size_t length)
{
    char *copy = malloc(length);
    if (copy == NULL)
        return -1;
    memcpy(copy, bytes, length);
    rests[fd] = (struct rest){.bytes = copy, .offset = 0, .length = length};
    watch(worker->epfd, EPOLL_CTL_MOD, fd, EPOLLOUT);
    return 0;
}

static void flush_rest(struct worker *worker, int fd)
{
    struct rest *rest = &rests[fd];
    ssize_t n = send_some(fd, rest->bytes + rest->offset, rest->length - rest->offset);
    if (n < 0) {
        close_connection(worker, fd);
        return;
    }
    rest->offset += (size_t)n;
    if (rest->offset < rest->length)
        return;
    free(rest->bytes);
    *rest = (struct rest){0};
    watch(worker->epfd, EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void echo(struct worker *worker, int fd, char *buffer)
{
    ssize_t n = recv(fd, buffer, BUFFER_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return; /* level-triggered: reported again */
    if (n <= 0) {
        close_connection(worker, fd);
        return;
    }
    ssize_t sent = send_some(fd, buffer, (size_t)n);
    if (sent < 0 || (sent < n && keep_rest(worker, fd, buffer + sent, (size_t)(n - sent)) < 0))
        close_connection(worker, fd);
}

static void *serve(void *argument)
{
    struct worker *worker = argument;
    struct epoll_event events[EVENTS_MAX];
    char *buffer = malloc(BUFFER_BYTES);
    if (buffer == NULL)
        die("malloc");
    for (;;) {
        int count = epoll_wait(worker->epfd, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (rests[fd].bytes != NULL)
                flush_rest(worker, fd);
            else
                echo(worker, fd, buffer);
        }
    }
    return NULL;
}

static struct worker *least_loaded(void)
{
    struct worker *best = &workers[0];
    int fewest = atomic_load_explicit(&best->connections, memory_order_relaxed);
    for (int i = 1; i < worker_count; i++) {
        int count = atomic_load_explicit(&workers[i].connections, memory_order_relaxed);
        if (count < fewest) {
            best = &workers[i];
            fewest = count;
        }
    }
    return best;
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* Accepted sockets inherit these, which saves two calls per connection. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, length) < 0)
        die("bind");
    if (listen(fd, BACKLOG) < 0)
        die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        die("getsockname");
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_forever(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                usleep(20 * 1000); /* clients wait in the backlog */
            else if (errno != EINTR && errno != ECONNABORTED)
                die("accept4");
            continue;
        }
        if ((size_t)fd >= fd_limit) {
            close(fd);
            continue;
        }
        struct worker *worker = least_loaded();
        atomic_fetch_add_explicit(&worker->connections, 1, memory_order_relaxed);
        watch(worker->epfd, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    fd_limit = limit.rlim_cur > 1 << 20 ? 1 << 20 : limit.rlim_cur;
    rests = calloc(fd_limit, sizeof *rests);
    if (rests == NULL)
        die("calloc");
}

static int number(const char *text, int low, int high)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "epoll: not a number from %d to %d: %s\n", low, high, text);
        exit(2);
    }
    return (int)value;
}

int main(int argc, char **argv)
{
    int port = 0;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--threads") == 0)
            worker_count = number(argv[i + 1], 1, THREADS_MAX);
        else if (i + 1 < argc && strcmp(argv[i], "--port") == 0)
            port = number(argv[i + 1], 0, 65535);
        else {
            fprintf(stderr, "usage: epoll [--threads N] [--port P]\n");
            return 2;
        }
    }
    /* Killed together with the benchmark. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    raise_fd_limit();
    for (int i = 0; i < worker_count; i++) {
        workers[i].epfd = epoll_create1(EPOLL_CLOEXEC);
        if (workers[i].epfd < 0)
            die("epoll_create1");
        if (pthread_create(&workers[i].thread, NULL, serve, &workers[i]) != 0)
            die("pthread_create");
    }
    accept_forever(listen_on(port));
}
