// Package server builds the program by hand: database, keys, services, surfaces; starts and stops them in order.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/alert"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/breakglass"
	"github.com/keyturn/keyturn/internal/canary"
	"github.com/keyturn/keyturn/internal/compat/scim"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/consumer"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/evidence"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpapi"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/stream"
	"github.com/keyturn/keyturn/internal/transit"
	"github.com/keyturn/keyturn/internal/web"
)

// stopWithin is how long requests under way may take when the server stops.
const stopWithin = 10 * time.Second

// Options is what a server needs beside its configuration.
type Options struct {
	Config  config.Config
	Version string
	// LookupEnv gives environment variables: only the root key's are read here.
	LookupEnv func(string) (string, bool)
	// Banner gets what a person should read at the start; the set-up token stands there and nowhere else.
	Banner io.Writer
	// Program is how a person starts this binary, for the commands in the banner.
	Program string
	// PingEvery is how often quiet streams of the dialects say that they live; 0 for 15 s.
	PingEvery time.Duration
	// entered is a root key that a person entered while the server was sealed.
	entered *opening
	// FirstProject makes a project of this slug at the very first start, when there is no organisation yet.
	FirstProject domain.Slug
}

// Server is one running server.
type Server struct {
	o         Options
	started   time.Time
	db        *store.DB
	ring      *keyring.Ring
	keys      *keys.Service
	backups   *backup.Service
	secrets   *secrets.Service
	transit   *transit.Service
	access    *access.Service
	unlocker  *unlocker
	log       *evidence.Log
	follow    *follow.Service // hands the log to whoever watches it
	streams   *stream.Service
	canaries  *canary.Service
	consumers *consumer.Service
	alerts    *alert.Service
	outbound  outbound.Rules // for every call to an address that somebody configured
	world     world
	metrics   *metrics
	handler   http.Handler
	http      *http.Server
	certs     *certificates
	setup     sensitive.Value
	glass     *breakglass.Service

	closing  chan struct{} // closed when the server begins to stop
	closed   sync.Once
	fatal    chan error // the database failed for good
	follower sync.WaitGroup
	stop     context.CancelFunc
}

// Open opens the database, checks the root key before anything is touched, and builds the services.
func Open(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o, started: time.Now(), closing: make(chan struct{}), fatal: make(chan error, 1)}
	if o.Banner == nil {
		s.o.Banner = io.Discard
	}
	if err := s.openWorld(ctx); err != nil {
		return nil, err
	}
	if err := s.build(ctx); err != nil {
		_ = s.db.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) build(ctx context.Context) error {
	door := guard.New(s.db)
	s.follow = follow.New(s.db)
	calls, err := outbound.ParseRules(s.o.Config.OutboundAllow)
	if err != nil {
		return fmt.Errorf("KEYTURN_OUTBOUND_ALLOW: %w", err)
	}
	s.outbound = calls
	schedule, err := keys.ParseSchedule(s.o.Config.KeySchedule, s.o.Config.KeyOverlap)
	if err != nil {
		return fmt.Errorf("KEYTURN_KEY_SCHEDULE or KEYTURN_KEY_OVERLAP: %w", err)
	}
	s.keys = keys.New(s.db, door, s.ring, s.world.instance, s.world.epoch, s.world.slot, s.unlocker, schedule)
	if err := s.keys.Refill(ctx, s.world.root); err != nil {
		return err
	}
	s.world.root.Bytes().Wipe()
	s.secrets = secrets.New(s.db, door, s.keys, s.o.Config.CacheBytes)
	s.transit = transit.New(s.db, door, s.keys, s.secrets)
	setup := access.Setup{Loopback: s.o.Config.Mode == config.Development}
	any, err := s.db.AnyPerson(ctx)
	if err != nil {
		return err
	}
	if !any {
		s.setup = domain.NewToken(domain.SetupToken)
		setup.Token = s.setup
	}
	s.access = access.New(s.db, door, setup)
	s.secrets.SetPeople(s.access)
	passkeys, err := access.NewPasskeys(s.access, s.o.Config.PublicURL)
	if err != nil {
		return fmt.Errorf("KEYTURN_PUBLIC_URL: %w", err)
	}
	s.access.SealWith(s.keys)
	s.access.SSOWith(s.outbound, s.o.Config.PublicURL)
	s.access.MailWith(nil, s.o.Config.PublicURL)
	s.access.CallWith(s.outbound)
	s.access.IssueAs(s.o.Config.PublicURL)
	s.keys.Hold(backup.Holder{Ring: s.ring})
	if err := s.buildBackups(ctx, door); err != nil {
		return err
	}
	s.metrics = newMetrics(s) // of all the services above
	s.log = evidence.New(s.db, door, valueChecks{s.secrets, s.transit}, audit.Origin(s.world.instance, s.world.epoch), s.ring.LogSeeds)
	s.access.ReadsFrom(s.log.EachRead)
	if err := s.archiveLog(); err != nil {
		return err
	}
	s.streams = stream.New(s.db, door, s.follow, s.keys, s.outbound, s.streamFolder(), audit.Origin(s.world.instance, s.world.epoch))
	if err := s.buildCanaries(ctx, door); err != nil {
		return err
	}
	if err := s.buildWatching(door); err != nil {
		return err
	}
	reporter := &reporter{s}
	s.glass = breakglass.New(s.db, door, s.secrets, s.log)
	routes, err := httpapi.New(httpapi.Services{
		Secrets:    s.secrets,
		Access:     s.access,
		Auditor:    s.log,
		Status:     reporter,
		Keys:       s.keys,
		Backups:    s.backups,
		Streams:    s.streams,
		Canaries:   s.canaries,
		Alerts:     s.alerts,
		Consumers:  s.consumers,
		Offline:    s.o.Config.OfflineMaxAge,
		Closing:    s.closing,
		Passkeys:   passkeys,
		BreakGlass: s.glass,
		Transit:    s.transit,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	routes.Register(mux)
	scim.New(s.access).Register(mux)
	shapes := s.registerDialects(mux)
	s.registerHealth(mux)
	s.registerWellKnown(mux)
	pages, err := web.New(web.Services{Access: s.access, Secrets: s.secrets, Passkeys: passkeys, Origin: s.o.Config.PublicURL,
		Development: s.o.Config.Mode == config.Development, Version: s.o.Version, Dress: s.dressing()})
	if err != nil {
		return err
	}
	pages.Register(mux)
	proxies, err := httpkit.ParseProxies(s.o.Config.TrustedProxies)
	if err != nil {
		return fmt.Errorf("KEYTURN_TRUSTED_PROXIES: %w", err)
	}
	s.handler = httpkit.Front(httpkit.Behind(proxies, s.metrics.measure(mux)), shapes...)
	if s.world.fresh && s.o.FirstProject != "" {
		if err := s.firstProject(ctx); err != nil {
			return err
		}
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	head, err := s.db.FeedHead(ctx)
	if err != nil {
		return err
	}
	s.follower.Go(func() { s.db.Follow(ctx, head) })
	s.follower.Go(func() { s.keys.Run(ctx) })
	s.follower.Go(func() { s.secrets.Run(ctx) })
	s.follower.Go(func() { s.transit.Run(ctx) })
	s.follower.Go(func() { s.access.Run(ctx) })
	s.follower.Go(func() { s.glass.Run(ctx) })
	s.follower.Go(func() { s.log.Run(ctx) })
	s.follower.Go(func() { s.backups.Run(ctx) })
	s.follower.Go(func() { s.follow.Run(ctx) })
	s.follower.Go(func() { s.streams.Run(ctx) })
	s.follower.Go(func() { s.canaries.Run(ctx) })
	s.follower.Go(func() { s.consumers.Run(ctx) })
	s.follower.Go(func() { s.alerts.Run(ctx) })
	return nil
}

// valueChecks are all that open what is stored, asked one after the other.
type valueChecks []evidence.Values

// CheckValues implements [evidence.Values].
func (all valueChecks) CheckValues(ctx context.Context, p guard.Permit, purged func(id string) bool, report func(row, text string)) (int64, error) {
	total := int64(0)
	for _, v := range all {
		n, err := v.CheckValues(ctx, p, purged, report)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func (s *Server) buildCanaries(ctx context.Context, door *guard.Door) error {
	s.canaries = canary.New(s.db, door)
	if err := s.canaries.Load(ctx); err != nil {
		return err
	}
	s.secrets.OnShow(s.canaries.Opened)
	s.access.OnUnknown(s.canaries.TokenShown)
	return s.follow.Add(s.canaries.Follower())
}

// streamsFolder is where streams write files when nothing else is said.
const streamsFolder = "streams"

func (s *Server) streamFolder() string {
	if s.o.Config.StreamFolder != "" {
		return s.o.Config.StreamFolder
	}
	return filepath.Join(s.o.Config.Data, streamsFolder)
}

// Handler serves everything; tests use it without a listener.
func (s *Server) Handler() http.Handler { return s.handler }

// SetupToken lets the first admin in; empty when there is one already.
func (s *Server) SetupToken() sensitive.Value { return s.setup }

// Serve answers on a listener until the context ends or the database fails for good, then stops gracefully.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	front := &frontDoor{}
	front.open(s.handler)
	return s.serve(ctx, listen(l, front, s.certs))
}

// frontDoor is the handler of the moment: first that of a sealed server, then that of an open one.
type frontDoor struct{ now atomic.Pointer[http.Handler] }

func (f *frontDoor) open(h http.Handler) { f.now.Store(&h) }

// ServeHTTP implements [http.Handler].
func (f *frontDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*f.now.Load()).ServeHTTP(w, r)
}

// listening is an HTTP server at work.
type listening struct {
	http   *http.Server
	failed chan error
}

func listen(l net.Listener, h http.Handler, certs *certificates) *listening {
	out := &listening{&http.Server{Handler: h, MaxHeaderBytes: httpkit.MaxHeader, ReadHeaderTimeout: httpkit.ReadHeaderTimeout,
		ReadTimeout: httpkit.ReadTimeout, IdleTimeout: httpkit.IdleTimeout, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)},
		make(chan error, 1)}
	if certs != nil {
		out.http.TLSConfig = certs.config()
	}
	go func() {
		if certs != nil {
			out.failed <- out.http.ServeTLS(l, "", "")
		} else {
			out.failed <- out.http.Serve(l)
		}
	}()
	return out
}

func (s *Server) serve(ctx context.Context, l *listening) error {
	s.http = l.http
	var cause error
	select {
	case <-ctx.Done():
	case cause = <-s.fatal:
	case cause = <-l.failed:
		if errors.Is(cause, http.ErrServerClosed) {
			cause = nil
		}
	}
	return errors.Join(cause, s.Close())
}

// Close lets requests under way finish, then stops the workers and closes the database.
func (s *Server) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		if s.http != nil {
			ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
			defer cancel()
			if err = s.http.Shutdown(ctx); err != nil {
				err = errors.Join(err, s.http.Close())
			}
		}
		s.stop()
		s.follower.Wait()
		err = errors.Join(err, s.db.Close())
	})
	return err
}

// Run is the command "keyturn server": it opens, says where it is, serves until the context ends.
func Run(ctx context.Context, o Options) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(logWriter{}, &slog.HandlerOptions{Level: level(o.Config.LogLevel)})))
	harden()
	limitScheduler()
	tuneCollector(o.Config.CacheBytes)
	var certs *certificates
	if o.Config.TLSCert != "" {
		var err error
		if certs, err = loadCertificates(o.Config.TLSCert, o.Config.TLSKey); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", o.Config.Listen)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "cannot listen on %s", o.Config.Listen).WithHint("another program may use that port: choose another with --listen")
	}
	s, err := Open(ctx, o)
	if err != nil && (!o.Config.WaitSealed || !errors.Is(err, fault.Sealed)) {
		_ = l.Close()
		return err
	}
	if err == nil {
		s.certs = certs
		s.greet(l.Addr())
		return s.Serve(ctx, l)
	}
	front := &frontDoor{}
	at, s, err := openSealed(ctx, o, front, l, certs, err)
	if err != nil {
		return errors.Join(err, at.stop())
	}
	s.certs = certs
	s.greet(l.Addr())
	return s.serve(ctx, at)
}

// openSealed serves as a sealed server until something opens it.
func openSealed(ctx context.Context, o Options, front *frontDoor, l net.Listener, certs *certificates, cause error) (*listening, *Server, error) {
	waiting, err := newSealed(ctx, o, cause)
	if err != nil {
		return &listening{http: &http.Server{}}, nil, errors.Join(err, l.Close())
	}
	front.open(waiting.handler())
	at := listen(l, front, certs)
	fmt.Fprintf(o.Banner, "Keyturn %s is sealed: %s://%s\n  %s\n  Unlock it with: keyturn unlock\n", o.Version, scheme(certs), l.Addr(), waiting.reason)
	for {
		entered, err := waiting.wait(ctx)
		if err != nil {
			return at, nil, errors.Join(waiting.db.Close())
		}
		if entered == nil && !waiting.canOpen(ctx, o) {
			continue
		}
		if err := waiting.db.Close(); err != nil {
			return at, nil, err
		}
		o.entered = entered
		s, err := Open(ctx, o)
		if err == nil {
			err = s.record(waiting.tried())
		}
		if err != nil {
			return at, nil, err
		}
		front.open(s.handler)
		return at, s, nil
	}
}

// stop ends a server that never opened.
func (l *listening) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return l.http.Shutdown(ctx)
}

func scheme(certs *certificates) string {
	if certs != nil {
		return "https"
	}
	return "http"
}

func (s *Server) greet(addr net.Addr) {
	scheme := scheme(s.certs)
	var text bytes.Buffer // written at once, so that whoever waits for the first line sees all of it
	defer func() { _, _ = text.WriteTo(s.o.Banner) }()
	w := &text
	fmt.Fprintf(w, "Keyturn %s is ready: %s://%s\n", s.o.Version, scheme, addr)
	s.world.describe(w)
	if s.o.Config.PublicURL != "" {
		fmt.Fprintf(w, "  console:  %s\n", s.o.Config.PublicURL)
	}
	if s.o.Config.Mode == config.Development {
		fmt.Fprintln(w, "\n  DEVELOPMENT MODE: this machine may create the first admin, and a root key is made beside the data when none is given.\n  For real secrets set KEYTURN_MODE=production and give a root key of your own.")
	}
	if s.setup.Empty() {
		return
	}
	url := scheme + "://" + addr.String()
	at := ""
	if url != "http://127.0.0.1:8420" {
		at = " --server " + url
	}
	proof := ""
	if s.o.Config.Mode != config.Development {
		proof = fmt.Sprintf(" --setup-token %s", s.setup.Reveal())
	}
	run := s.o.Program
	if run == "" {
		run = "keyturn"
	}
	fmt.Fprintf(w, "\n  Nobody is set up yet. Become the first admin (it asks for a password):\n    %s bootstrap%s --email you@example.com%s\n", run, at, proof)
	if s.o.FirstProject != "" {
		fmt.Fprintf(w, "\n  Then try:\n    %[1]s init%[2]s --project %[3]s --env dev\n    %[1]s set GREETING=hello --message \"first secret\"\n    %[1]s run -- sh -c 'echo \"$GREETING\"'\n", run, at, s.o.FirstProject)
	}
}

// firstProject gives a fresh development server something to try, before anybody is there.
func (s *Server) firstProject(ctx context.Context) error {
	id := uuid.Must(uuid.NewV7()).String()
	var org store.Org
	system := &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "setup", Name: "first start"}, Request: id, Dialect: "cli"}
	door := guard.New(s.db)
	ctx = guard.WithCaller(ctx, system)
	err := door.Do(ctx, guard.Op{Action: "instance.setup", Detail: map[string]string{"org": "main"}}, func(tx *store.Tx, _ guard.Permit) (err error) {
		org, err = access.FoundOrg(ctx, tx, "main", "Main")
		return err
	})
	if err != nil {
		return err
	}
	system.Principal.Org = org.ID
	_, err = s.secrets.CreateProject(ctx, s.o.FirstProject, domain.Label(s.o.FirstProject), nil)
	return err
}

// Access gives the service of users and tokens, for tests that set a server up.
func (s *Server) Access() *access.Service { return s.access }
