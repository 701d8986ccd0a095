// A forward proxy as one writes it in an afternoon with Go's standard library: opens CONNECT tunnels with leaves from its
// own CA, sets one header on every request, and sends it on. No policy, no audit, no stored state, no authentication.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

var (
	listen   = flag.String("listen", "127.0.0.1:3128", "host:port")
	caCert   = flag.String("ca-cert", "", "PEM")
	caKey    = flag.String("ca-key", "", "PEM")
	roots    = flag.String("upstream-ca", "", "PEM")
	upstream = flag.String("upstream-address", "", "every upstream is dialled here")
	name     = flag.String("header", "Authorization", "name of the header that is set")
)

type mitm struct {
	authority tls.Certificate
	leafKey   *ecdsa.PrivateKey
	leaves    sync.Map // host -> *tls.Config
	transport *http.Transport
	value     string
}

func (m *mitm) configFor(host string) (*tls.Config, error) {
	if known, ok := m.leaves.Load(host); ok {
		return known.(*tls.Config), nil
	}
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	leaf := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, m.authority.Leaf, &m.leafKey.PublicKey, m.authority.PrivateKey)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{
		{Certificate: [][]byte{der, m.authority.Certificate[0]}, PrivateKey: m.leafKey}}}
	m.leaves.Store(host, config)
	return config, nil
}

// oneConn is a listener that gives one connection, so that http.Server serves what comes inside a tunnel.
type oneConn struct {
	net.Conn
	given, closed chan struct{}
	once          *sync.Once
}

func (l oneConn) Accept() (net.Conn, error) {
	select {
	case l.given <- struct{}{}:
		return l, nil
	case <-l.closed:
		return nil, io.EOF
	}
}
func (l oneConn) Addr() net.Addr { return l.Conn.LocalAddr() }
func (l oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

func (m *mitm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	authority := r.Host
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	config, err := m.configFor(host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection Established\r\n\r\n"); err != nil {
		conn.Close()
		return
	}
	inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.forward(w, r, authority) })
	listener := oneConn{tls.Server(conn, config), make(chan struct{}, 1), make(chan struct{}), new(sync.Once)}
	(&http.Server{Handler: inside, ErrorLog: log.New(io.Discard, "", 0)}).Serve(listener)
}

func (m *mitm) forward(w http.ResponseWriter, r *http.Request, authority string) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "https", authority, ""
	upgrade := ""
	if r.Header.Get("Upgrade") == "websocket" {
		upgrade = "websocket"
	}
	for _, hop := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Upgrade", "Proxy-Authorization"} {
		out.Header.Del(hop)
	}
	if upgrade != "" {
		out.Header.Set("Connection", "Upgrade")
		out.Header.Set("Upgrade", upgrade)
	}
	out.Header.Set(*name, m.value)
	answer, err := m.transport.RoundTrip(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols {
		join(w, answer)
		return
	}
	for field, values := range answer.Header {
		w.Header()[field] = values
	}
	w.Header().Del("Connection")
	w.WriteHeader(answer.StatusCode)
	if answer.ContentLength < 0 { // of unknown length: what comes may be an event, so it goes on at once
		io.Copy(flushing{w}, answer.Body)
		return
	}
	io.Copy(w, answer.Body)
}

// flushing sends every write on its way.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	f.ResponseWriter.(http.Flusher).Flush()
	return n, err
}

// join lets bytes pass both ways between two ends of a WebSocket.
func join(w http.ResponseWriter, answer *http.Response) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	upstream := answer.Body.(io.ReadWriteCloser)
	answer.Body = nil
	if err := answer.Write(conn); err != nil {
		return
	}
	go func() { io.Copy(upstream, conn); upstream.Close() }()
	io.Copy(conn, upstream)
}

func main() {
	flag.Parse()
	authority, err := tls.LoadX509KeyPair(*caCert, *caKey)
	if err != nil {
		log.Fatal(err)
	}
	if authority.Leaf == nil {
		authority.Leaf, _ = x509.ParseCertificate(authority.Certificate[0])
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(*roots)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConns: 20000,
		MaxIdleConnsPerHost: 20000, IdleConnTimeout: 10 * time.Minute, DisableCompression: true}
	if *upstream != "" {
		transport.Dial = func(network, _ string) (net.Conn, error) { return dialer.Dial(network, *upstream) }
	}
	m := &mitm{authority: authority, leafKey: leafKey, transport: transport, value: os.Getenv("HEADER_VALUE")}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.WriteString("listening\n")
	log.Fatal((&http.Server{Handler: m}).Serve(listener))
}
