/*
 * A closed-loop load generator for proxies that open TLS: CONNECT, TLS 1.3, HTTP/1.1. One thread, one epoll, so that it
 * takes far less CPU than whatever is measured with it. Loopback addresses only.
 *
 *   keep-alive  all connections are opened first, then each sends one request after the other
 *   tunnel      every request opens a connection of its own: TCP, CONNECT, TLS, request, close
 *   idle        all connections are opened and send one request; told to go, each sends one more
 *   socket      all connections become WebSockets; then each sends one frame after the other, and waits for its echo
 *
 * --first-byte    in tunnel mode: timed is a request from its sending to the first byte of the body of its answer, where the
 *                 connection is closed: how long the first event of a stream takes
 * --cold N        every connection is to a host of its own: cN.NAME, cN+1.NAME, …
 * --grants FILE   ids of 36 characters, a line each: every request names the next of them
 *
 * It prints "ready", waits for a line on its standard input, works for --seconds, and prints one line of JSON. An answer
 * counts only with status 200 and a body of --expect bytes; the certificate must come from --ca and be for --name.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, READ_BYTES = 65536, MAX_OPENING = 64, MAX_ERRORS = 1000, STALL_SECONDS = 10 };
enum { FRAME_BYTES = 100, GRANT_BYTES = 36 };
enum mode { KEEP_ALIVE, TUNNEL, IDLE, SOCKET };
enum state { CLOSED, CONNECTING, CONNECT_SENT, HANDSHAKE, WRITING, READING_HEAD, READING_BODY, READING_FRAME, RESTING };

struct conn {
  enum state state;
  int fd;
  SSL *ssl;
  uint64_t started_ns;
  const char *request;    /* shared, or of this connection alone: `own_request` */
  size_t request_bytes, written;
  char *own_request, *own_connect, *name;
  bool upgraded;
  char *head;
  size_t head_bytes;
  int64_t body_left;      /* of a body with a length, or of one chunk */
  int64_t body_bytes;
  bool chunked, last_chunk, close_after;
  char line[64];          /* of a chunked body: a size, or a trailer */
  size_t line_bytes;
  bool in_line;
};

static struct {
  struct sockaddr_in address;
  const char *connect, *proxy_authorization, *name, *host, *ca, *path, *method;
  char headers[4096];
  int connections;
  double seconds;
  enum mode mode;
  bool resume, first_byte;
  long cold;              /* number of the next host, or -1 */
  int64_t upload, expect;
} opt = { .path = "/", .method = "GET", .connections = 64, .seconds = 1, .cold = -1, .expect = -1 };

static SSL_CTX *ctx;
static SSL_SESSION *session;
static int epfd;
static struct conn *conns;
static char *request, *connect_request, *upload;
static size_t request_bytes, grant_at;
static char *grants;
static size_t grant_count, next_grant;
static char frame[6 + FRAME_BYTES], echoed[2 + FRAME_BYTES];
static char buffer[READ_BYTES];

static bool measuring;
static int opening, resting, busy;
static uint64_t requests, errors, handshakes, resumed, reconnects, body_received;
static uint64_t begun_ns, last_ns, deadline_ns;
static uint32_t *latencies;
static size_t latency_room;
static char first_error[512];
static char tls_version[32], tls_cipher[64], tls_issuer[128];

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("loadgen: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(2);
}

static void drive(struct conn *c);

static void shut(struct conn *c) {
  if (c->state == CLOSED) return;
  if (c->state < WRITING) opening--;
  if (c->state == RESTING) resting--;
  else busy--;
  c->state = CLOSED;
  if (c->ssl != NULL) {
    SSL_free(c->ssl);
    c->ssl = NULL;
  }
  close(c->fd);
}

static void fail(struct conn *c, const char *format, ...) {
  errors++;
  if (first_error[0] == 0) {
    va_list args;
    va_start(args, format);
    vsnprintf(first_error, sizeof first_error, format, args);
    va_end(args);
    for (char *p = first_error; *p != 0; p++)
      if (*p == '"' || *p == '\\' || (unsigned char)*p < 32 || (unsigned char)*p > 126) *p = ' ';
  }
  ERR_clear_error();
  shut(c);
}

/* What a client sends to these names: a request, and a CONNECT where one is needed. */
static char *compose_request(const char *host) {
  char *text;
  char length[64] = "";
  if (opt.upload > 0) snprintf(length, sizeof length, "Content-Length: %ld\r\n", (long)opt.upload);
  const char *upgrade = opt.mode == SOCKET ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" : "";
  const char *grant = grants != NULL ? "X-Alter-Grant: 000000000000000000000000000000000000\r\n" : "";
  if (asprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nUser-Agent: loadgen\r\n%s%s%s%s\r\n",
               opt.method, opt.path, host, upgrade, grant, opt.headers, length) < 0) die("out of memory");
  return text;
}

static char *compose_connect(const char *authority) {
  char *text;
  const char *proof = opt.proxy_authorization;
  if (asprintf(&text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", authority, authority,
               proof != NULL ? "Proxy-Authorization: " : "", proof != NULL ? proof : "", proof != NULL ? "\r\n" : "") < 0)
    die("out of memory");
  return text;
}

/* A host that nobody has asked for. */
static void choose_host(struct conn *c) {
  char host[300], authority[300];
  free(c->own_request);
  free(c->own_connect);
  free(c->name);
  snprintf(host, sizeof host, "c%ld.%s", opt.cold, opt.host);
  c->own_request = compose_request(host);
  c->own_connect = NULL;
  if (opt.connect != NULL) {
    snprintf(authority, sizeof authority, "c%ld.%s", opt.cold, opt.connect);
    c->own_connect = compose_connect(authority);
  }
  if (asprintf(&c->name, "c%ld.%s", opt.cold, opt.name) < 0) die("out of memory");
  opt.cold++;
  c->request = c->own_request;
  c->request_bytes = strlen(c->request);
}

static void start(struct conn *c) {
  if (opt.cold >= 0) choose_host(c);
  else if (opt.mode == SOCKET) {
    c->upgraded = false;
    c->request = request;
    c->request_bytes = request_bytes;
  }
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die("socket: %s", strerror(errno));
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->state = CONNECTING;
  c->started_ns = now_ns();
  c->written = c->head_bytes = 0;
  opening++;
  busy++;
  struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
  if (connect(c->fd, (struct sockaddr *)&opt.address, sizeof opt.address) < 0 && errno != EINPROGRESS) {
    fail(c, "connect: %s", strerror(errno));
    return;
  }
  if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl: %s", strerror(errno));
}

static void start_tls(struct conn *c) {
  c->ssl = SSL_new(ctx);
  if (c->ssl == NULL) die("SSL_new");
  SSL_set_fd(c->ssl, c->fd);
  const char *name = c->name != NULL ? c->name : opt.name;
  SSL_set_tlsext_host_name(c->ssl, name);
  SSL_set1_host(c->ssl, name);
  if (opt.resume && session != NULL) SSL_set_session(c->ssl, session);
  SSL_set_connect_state(c->ssl);
  c->state = HANDSHAKE;
}

static void send_request(struct conn *c) {
  if (c->state == RESTING) {
    resting--;
    busy++;
  }
  if (grants != NULL) {
    memcpy(c->own_request + grant_at, grants + GRANT_BYTES * next_grant, GRANT_BYTES);
    next_grant = (next_grant + 1) % grant_count;
  }
  if (opt.mode != TUNNEL || opt.first_byte) c->started_ns = now_ns();
  c->written = c->head_bytes = 0;
  c->state = WRITING;
}

static void complete(struct conn *c) {
  if (opt.expect >= 0 && c->body_bytes != opt.expect) {
    fail(c, "the body had %ld bytes instead of %ld", (long)c->body_bytes, (long)opt.expect);
    return;
  }
  body_received += (uint64_t)c->body_bytes;
  uint64_t now = now_ns();
  if (measuring) {
    if (requests == latency_room) {
      latency_room = latency_room == 0 ? 65536 : latency_room * 2;
      latencies = realloc(latencies, latency_room * sizeof *latencies);
      if (latencies == NULL) die("out of memory");
    }
    latencies[requests++] = (uint32_t)((now - c->started_ns) / 1000);
    last_ns = now;
  }
  if (opt.mode == TUNNEL || c->close_after) {
    if (opt.mode != TUNNEL) reconnects++;
    SSL_shutdown(c->ssl); /* as clients part: close_notify, then FIN */
    shut(c);
    return;
  }
  if ((opt.mode == KEEP_ALIVE || opt.mode == SOCKET) && measuring && now < deadline_ns) {
    send_request(c);
    return;
  }
  c->state = RESTING;
  busy--;
  resting++;
}

/* The value of a field of the head, or NULL. */
static const char *field(const char *head, const char *name) {
  const char *at = strcasestr(head, name);
  return at == NULL ? NULL : at + strlen(name);
}

/* False when the answer is no good; the connection is shut then. */
static bool read_answer_head(struct conn *c) {
  int status = 0;
  if (sscanf(c->head, "HTTP/1.%*d %d", &status) != 1 || status != (opt.mode == SOCKET ? 101 : 200)) {
    const char *code = field(c->head, "\r\nX-Alter-Error:");
    fail(c, "status %d %.100s", status, code != NULL ? code : c->head);
    return false;
  }
  if (opt.mode == SOCKET) {
    /* The answer to the one key that is ever sent (RFC 6455 section 1.3). */
    const char *accept = field(c->head, "\r\nSec-WebSocket-Accept:");
    if (accept == NULL || strncmp(accept + strspn(accept, " "), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", 30) != 0) {
      fail(c, "not the answer to a WebSocket");
      return false;
    }
    c->upgraded = true;
    c->request = frame;
    c->request_bytes = sizeof frame;
    c->state = READING_FRAME;
    c->body_bytes = 0;
    return true;
  }
  const char *length = field(c->head, "\r\nContent-Length:");
  const char *encoding = field(c->head, "\r\nTransfer-Encoding:");
  const char *connection = field(c->head, "\r\nConnection:");
  c->chunked = encoding != NULL && strncasecmp(encoding + strspn(encoding, " "), "chunked", 7) == 0;
  c->close_after = connection != NULL && strncasecmp(connection + strspn(connection, " "), "close", 5) == 0;
  c->body_bytes = 0;
  c->in_line = c->chunked;
  c->line_bytes = 0;
  c->last_chunk = false;
  c->body_left = length != NULL && !c->chunked ? atoll(length) : 0;
  if (length == NULL && !c->chunked && opt.first_byte) c->body_left = INT64_MAX; /* until it is closed */
  else if (length == NULL && !c->chunked) {
    fail(c, "an answer without a length");
    return false;
  }
  c->state = READING_BODY;
  return true;
}

/* A chunked body; true at its end. */
static bool read_chunks(struct conn *c, const char *data, size_t bytes) {
  while (bytes > 0) {
    if (!c->in_line) {
      size_t take = (int64_t)bytes < c->body_left ? bytes : (size_t)c->body_left;
      c->body_bytes += (int64_t)take;
      c->body_left -= (int64_t)take;
      data += take;
      bytes -= take;
      if (c->body_left == 0) {
        c->in_line = true;
        c->line_bytes = 0;
        c->body_left = -1; /* the empty line after a chunk */
      }
      continue;
    }
    char byte = *data++;
    bytes--;
    if (byte != '\n') {
      if (byte != '\r' && c->line_bytes < sizeof c->line - 1) c->line[c->line_bytes++] = byte;
      continue;
    }
    c->line[c->line_bytes] = 0;
    bool empty = c->line_bytes == 0;
    c->line_bytes = 0;
    if (c->last_chunk) {
      if (empty) return true;
    } else if (c->body_left == -1 && empty) {
      c->body_left = 0;
    } else {
      c->body_left = strtoll(c->line, NULL, 16);
      c->last_chunk = c->body_left == 0;
      c->in_line = c->last_chunk;
    }
  }
  return false;
}

static void take_body(struct conn *c, const char *data, size_t bytes) {
  bool over;
  if (c->chunked) over = read_chunks(c, data, bytes);
  else {
    c->body_bytes += (int64_t)bytes;
    c->body_left -= (int64_t)bytes;
    if (c->body_left < 0) {
      fail(c, "more bytes than the answer announced");
      return;
    }
    over = c->body_left == 0;
  }
  if (over || (opt.first_byte && c->body_bytes > 0)) complete(c);
}

/* The echo of a frame: the same bytes, unmasked, and nothing else. */
static void take_frame(struct conn *c, const char *data, size_t bytes) {
  size_t seen = (size_t)c->body_bytes;
  if (seen + bytes > sizeof echoed || memcmp(echoed + seen, data, bytes) != 0) {
    fail(c, "a frame that is not the echo of what was sent");
    return;
  }
  c->body_bytes += (int64_t)bytes;
  if (c->body_bytes == sizeof echoed) complete(c);
}

static void take_head(struct conn *c, const char *data, size_t bytes) {
  if (c->head_bytes + bytes >= HEAD_MAX) {
    /* A large body came along with the head: only so much of it is looked through. */
    size_t take = HEAD_MAX - 1 - c->head_bytes;
    memcpy(c->head + c->head_bytes, data, take);
    c->head[HEAD_MAX - 1] = 0;
  } else {
    memcpy(c->head + c->head_bytes, data, bytes);
    c->head[c->head_bytes + bytes] = 0;
  }
  char *end = strstr(c->head, "\r\n\r\n");
  if (end == NULL) {
    c->head_bytes += bytes;
    if (c->head_bytes >= HEAD_MAX) fail(c, "the head of the answer is too large");
    return;
  }
  end[2] = 0;
  size_t used = (size_t)(end + 4 - c->head) - c->head_bytes;
  if (!read_answer_head(c)) return;
  if (c->upgraded) {
    /* Nothing was sent yet that could be echoed. */
    if (bytes > used) fail(c, "bytes that nobody asked for");
    else {
      c->state = RESTING;
      busy--;
      resting++;
    }
    return;
  }
  if (bytes > used || (c->body_left == 0 && !c->chunked)) take_body(c, data + used, bytes - used);
}

/* What OpenSSL waits for; true when the connection may go on at once. */
static bool settle(struct conn *c, int result, const char *what) {
  if (result > 0) return true;
  int why = SSL_get_error(c->ssl, result);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return false;
  char text[200] = "the peer closed";
  unsigned long code = ERR_peek_error();
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  else if (why == SSL_ERROR_SYSCALL && errno != 0) snprintf(text, sizeof text, "%s", strerror(errno));
  fail(c, "%s: %s", what, text);
  return false;
}

static bool write_request(struct conn *c) {
  size_t total = c->request_bytes + (size_t)opt.upload;
  while (c->written < total) {
    bool in_head = c->written < c->request_bytes;
    const char *from = in_head ? c->request + c->written : upload + (c->written - c->request_bytes);
    size_t bytes = in_head ? c->request_bytes - c->written : total - c->written;
    int sent = SSL_write(c->ssl, from, (int)(bytes > 262144 ? 262144 : bytes));
    if (!settle(c, sent, "sending")) return false;
    c->written += (size_t)sent;
  }
  c->state = c->upgraded ? READING_FRAME : READING_HEAD;
  c->body_bytes = 0;
  return true;
}

static void tell_handshake(struct conn *c) {
  handshakes++;
  opening--;
  if (SSL_session_reused(c->ssl)) resumed++;
  if (tls_version[0] != 0) return;
  snprintf(tls_version, sizeof tls_version, "%s", SSL_get_version(c->ssl));
  snprintf(tls_cipher, sizeof tls_cipher, "%s", SSL_get_cipher_name(c->ssl));
  X509 *certificate = SSL_get1_peer_certificate(c->ssl);
  if (certificate != NULL) {
    X509_NAME_get_text_by_NID(X509_get_issuer_name(certificate), NID_commonName, tls_issuer, sizeof tls_issuer);
    X509_free(certificate);
  }
}

static void drive(struct conn *c) {
  for (;;) {
    switch (c->state) {
      case CLOSED:
        return;
      case CONNECTING: {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
          fail(c, "connect: %s", strerror(error));
          return;
        }
        const char *asked = c->own_connect != NULL ? c->own_connect : connect_request;
        if (asked == NULL) {
          start_tls(c);
          break;
        }
        ssize_t sent = write(c->fd, asked, strlen(asked));
        if (sent < 0 && errno == EAGAIN) return;
        if (sent != (ssize_t)strlen(asked)) {
          fail(c, "CONNECT: %s", strerror(errno));
          return;
        }
        c->state = CONNECT_SENT;
        break;
      }
      case CONNECT_SENT: {
        ssize_t got = read(c->fd, c->head + c->head_bytes, HEAD_MAX - 1 - c->head_bytes);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
          fail(c, "CONNECT: %s", got == 0 ? "the peer closed" : strerror(errno));
          return;
        }
        c->head_bytes += (size_t)got;
        c->head[c->head_bytes] = 0;
        char *end = strstr(c->head, "\r\n\r\n");
        if (end == NULL) break;
        int status = 0;
        if (sscanf(c->head, "HTTP/1.%*d %d", &status) != 1 || status != 200) {
          fail(c, "CONNECT: %.100s", c->head);
          return;
        }
        start_tls(c);
        break;
      }
      case HANDSHAKE:
        if (!settle(c, SSL_do_handshake(c->ssl), "TLS")) return;
        tell_handshake(c);
        send_request(c);
        break;
      case WRITING:
        if (!write_request(c)) return;
        if (opt.upload == 0) return; /* the answer brings an event of its own */
        break;
      case READING_HEAD:
      case READING_BODY:
      case READING_FRAME: {
        int got = SSL_read(c->ssl, buffer, sizeof buffer);
        if (!settle(c, got, "reading")) return;
        if (c->state == READING_HEAD) take_head(c, buffer, (size_t)got);
        else if (c->state == READING_FRAME) take_frame(c, buffer, (size_t)got);
        else take_body(c, buffer, (size_t)got);
        break;
      }
      case RESTING: {
        /* Session tickets, or the end of the connection. */
        int got = SSL_read(c->ssl, buffer, sizeof buffer);
        if (!settle(c, got, "resting")) return;
        fail(c, "bytes that nobody asked for");
        return;
      }
    }
  }
}

static void wait_events(int timeout_ms) {
  struct epoll_event events[256];
  int count = epoll_wait(epfd, events, 256, timeout_ms);
  for (int i = 0; i < count; i++) drive(events[i].data.ptr);
}

static int take_session(SSL *ssl, SSL_SESSION *fresh) {
  (void)ssl;
  if (session != NULL) SSL_SESSION_free(session);
  session = fresh;
  return 1;
}

/*
 * Builds the chain for the first certificate of a run, and compares the others with it byte for byte: to build it every
 * time costs more than the handshake itself. That the peer has the key is proved in every handshake.
 */
static int verify_chain(X509_STORE_CTX *chain, void *unused) {
  (void)unused;
  static X509 *known;
  X509 *leaf = X509_STORE_CTX_get0_cert(chain);
  if (known != NULL && X509_cmp(known, leaf) == 0) {
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    return 1;
  }
  if (X509_verify_cert(chain) != 1) return 0;
  X509_free(known);
  X509_up_ref(leaf);
  known = leaf;
  return 1;
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static uint32_t percentile(double share) {
  if (requests == 0) return 0;
  size_t at = (size_t)(share * (double)(requests - 1) + 0.5);
  return latencies[at];
}

static double cpu_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void report(double cpu) {
  qsort(latencies, requests, sizeof *latencies, ascending);
  double seconds = last_ns > begun_ns ? (double)(last_ns - begun_ns) / 1e9 : 0;
  printf("{\"requests\":%lu,\"seconds\":%.6f,\"requestsPerSecond\":%.1f,\"p50Us\":%u,\"p99Us\":%u,\"maxUs\":%u,"
         "\"errors\":%lu,\"firstError\":\"%s\",\"handshakes\":%lu,\"resumed\":%lu,\"reconnects\":%lu,"
         "\"bodyBytes\":%lu,\"cpuSeconds\":%.6f,\"tls\":\"%s\",\"cipher\":\"%s\",\"issuer\":\"%s\"}\n",
         requests, seconds, seconds > 0 ? (double)requests / seconds : 0, percentile(0.5), percentile(0.99),
         percentile(1), errors, first_error, handshakes, resumed, reconnects, body_received, cpu, tls_version,
         tls_cipher, tls_issuer);
  fflush(stdout);
}

static void read_grants(const char *path) {
  FILE *file = fopen(path, "r");
  char line[64];
  if (file == NULL) die("%s: %s", path, strerror(errno));
  while (fgets(line, sizeof line, file) != NULL) {
    if (strcspn(line, "\r\n") != GRANT_BYTES) die("%s: a line that is not an id of %d characters", path, GRANT_BYTES);
    if (grant_count % 4096 == 0) grants = realloc(grants, (grant_count + 4096) * GRANT_BYTES);
    if (grants == NULL) die("out of memory");
    memcpy(grants + GRANT_BYTES * grant_count++, line, GRANT_BYTES);
  }
  fclose(file);
  if (grant_count == 0) die("%s: no grants", path);
}

static void read_options(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    if (strcmp(name, "--resume") == 0) {
      opt.resume = true;
      continue;
    }
    if (strcmp(name, "--first-byte") == 0) {
      opt.first_byte = true;
      continue;
    }
    if (i + 1 == argc) die("%s needs a value", name);
    const char *value = argv[++i];
    if (strcmp(name, "--port") == 0) {
      opt.address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(value)) };
      opt.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (strcmp(name, "--connect") == 0) opt.connect = value;
    else if (strcmp(name, "--proxy-authorization") == 0) opt.proxy_authorization = value;
    else if (strcmp(name, "--name") == 0) opt.name = value;
    else if (strcmp(name, "--host") == 0) opt.host = value;
    else if (strcmp(name, "--ca") == 0) opt.ca = value;
    else if (strcmp(name, "--path") == 0) opt.path = value;
    else if (strcmp(name, "--method") == 0) opt.method = value;
    else if (strcmp(name, "--connections") == 0) opt.connections = atoi(value);
    else if (strcmp(name, "--seconds") == 0) opt.seconds = atof(value);
    else if (strcmp(name, "--upload") == 0) opt.upload = atoll(value);
    else if (strcmp(name, "--expect") == 0) opt.expect = atoll(value);
    else if (strcmp(name, "--cold") == 0) opt.cold = atol(value);
    else if (strcmp(name, "--grants") == 0) read_grants(value);
    else if (strcmp(name, "--header") == 0) {
      size_t used = strlen(opt.headers);
      if (used + strlen(value) + 3 > sizeof opt.headers) die("the headers are too long");
      snprintf(opt.headers + used, sizeof opt.headers - used, "%s\r\n", value);
    } else if (strcmp(name, "--mode") == 0) {
      if (strcmp(value, "keep-alive") == 0) opt.mode = KEEP_ALIVE;
      else if (strcmp(value, "tunnel") == 0) opt.mode = TUNNEL;
      else if (strcmp(value, "idle") == 0) opt.mode = IDLE;
      else if (strcmp(value, "socket") == 0) opt.mode = SOCKET;
      else die("--mode is keep-alive, tunnel, idle or socket");
    } else die("unknown option %s", name);
  }
  if (opt.address.sin_port == 0 || opt.name == NULL || opt.host == NULL || opt.ca == NULL)
    die("--port, --name, --host and --ca are needed");
  if (opt.connections < 1 || opt.connections > 20000 || opt.seconds <= 0 || opt.seconds > 600)
    die("at most 20000 connections and 600 seconds");
  if (opt.first_byte && opt.mode != TUNNEL) die("--first-byte goes with --mode tunnel");
  if (opt.cold >= 0 && (opt.mode != TUNNEL || grants != NULL)) die("--cold goes with --mode tunnel, without --grants");
}

static void prepare(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < (rlim_t)opt.connections + 32) die("too few file descriptors: see ulimit -n");

  request = compose_request(opt.host);
  request_bytes = strlen(request);
  if (grants != NULL) grant_at = (size_t)(strstr(request, "X-Alter-Grant: ") - request) + strlen("X-Alter-Grant: ");
  if (opt.connect != NULL) connect_request = compose_connect(opt.connect);
  /* A final binary frame, masked, and its echo without a mask (RFC 6455 section 5.2). */
  frame[0] = echoed[0] = (char)0x82;
  frame[1] = (char)(0x80 | FRAME_BYTES);
  echoed[1] = FRAME_BYTES;
  memcpy(frame + 2, "mask", 4);
  for (int i = 0; i < FRAME_BYTES; i++) {
    echoed[2 + i] = (char)('a' + i % 26);
    frame[6 + i] = (char)(echoed[2 + i] ^ frame[2 + i % 4]);
  }
  if (opt.upload > 0) {
    upload = malloc((size_t)opt.upload);
    if (upload == NULL) die("out of memory");
    for (int64_t i = 0; i < opt.upload; i++) upload[i] = (char)(i * 31 + i / 251);
  }

  ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
  /* The same for every proxy: they would choose differently from a longer list. */
  SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(ctx, "X25519");
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_cert_verify_callback(ctx, verify_chain, NULL);
  if (SSL_CTX_load_verify_locations(ctx, opt.ca, NULL) != 1) die("%s can't be read", opt.ca);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, opt.resume ? take_session : NULL);

  epfd = epoll_create1(EPOLL_CLOEXEC);
  conns = calloc((size_t)opt.connections, sizeof *conns);
  for (int i = 0; i < opt.connections; i++) {
    conns[i].head = malloc(HEAD_MAX);
    conns[i].request = conns[i].own_request = grants != NULL ? compose_request(opt.host) : NULL;
    if (grants == NULL) conns[i].request = request;
    conns[i].request_bytes = request_bytes;
  }
}

/* Opens what is closed, MAX_OPENING at a time; never more than `most` connections in all. */
static void open_closed(int most) {
  for (int i = 0; i < most && opening < MAX_OPENING && busy + resting < most; i++)
    if (conns[i].state == CLOSED) start(&conns[i]);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  prepare();

  uint64_t stalled_ns = now_ns() + (uint64_t)STALL_SECONDS * 1000000000u;
  int first = opt.mode == TUNNEL ? 1 : opt.connections;
  if (opt.mode == TUNNEL) { /* one request shows that the way is open */
    start(&conns[0]);
    while (busy > 0 && now_ns() < stalled_ns) wait_events(100);
  } else {
    for (int seen = -1; resting < first && errors == 0 && now_ns() < stalled_ns;) {
      open_closed(first);
      wait_events(100);
      if (resting != seen) stalled_ns = now_ns() + (uint64_t)STALL_SECONDS * 1000000000u;
      seen = resting;
    }
  }
  if (errors > 0 || busy > 0) {
    if (first_error[0] == 0) snprintf(first_error, sizeof first_error, "no answer within %d seconds", STALL_SECONDS);
    errors += errors == 0;
    report(cpu_seconds());
    return 1;
  }
  puts("ready");
  fflush(stdout);
  char line[16];
  if (read(STDIN_FILENO, line, sizeof line) <= 0) return 0;

  handshakes = resumed = reconnects = body_received = 0;
  double cpu = cpu_seconds();
  begun_ns = last_ns = now_ns();
  deadline_ns = begun_ns + (uint64_t)(opt.seconds * 1e9);
  measuring = true;
  if (opt.mode != TUNNEL)
    for (int i = 0; i < opt.connections; i++) {
      if (conns[i].state == RESTING) drive(&conns[i]); /* it may have been closed meanwhile */
      if (conns[i].state != RESTING) continue;
      send_request(&conns[i]);
      drive(&conns[i]);
    }
  while (errors < MAX_ERRORS) {
    uint64_t now = now_ns();
    bool stopping = now >= deadline_ns;
    if (stopping && (busy == 0 || now > deadline_ns + (uint64_t)STALL_SECONDS * 1000000000u)) break;
    if (opt.mode == IDLE && busy == 0) break;
    if (!stopping && opt.mode != IDLE) open_closed(opt.connections);
    wait_events(stopping || opt.mode == IDLE ? 100 : 10);
  }
  if (busy > 0 && errors < MAX_ERRORS) {
    errors += (uint64_t)busy;
    if (first_error[0] == 0) snprintf(first_error, sizeof first_error, "%d requests were never answered", busy);
  }
  report(cpu_seconds() - cpu);
  return errors > 0 ? 1 : 0;
}
