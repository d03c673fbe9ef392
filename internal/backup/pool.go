package backup

import (
	"runtime"
	"sync"
)

// pool runs work on as many goroutines as there are processors. One goroutine hands it out.
type pool struct {
	work    chan func() error
	pending sync.WaitGroup // of handed out work
	workers sync.WaitGroup
	mu      sync.Mutex
	err     error // the first; guarded by mu
}

func newPool() *pool {
	n := runtime.GOMAXPROCS(0)
	p := &pool{work: make(chan func() error, n)}
	for range n {
		p.workers.Go(func() {
			for work := range p.work {
				if err := work(); err != nil {
					p.mu.Lock()
					if p.err == nil {
						p.err = err
					}
					p.mu.Unlock()
				}
				p.pending.Done()
			}
		})
	}
	return p
}

func (p *pool) do(work func() error) {
	p.pending.Add(1)
	p.work <- work
}

// settle waits for what was handed out so far and tells the first error.
func (p *pool) settle() error {
	p.pending.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// end waits for all and stops the goroutines.
func (p *pool) end() {
	close(p.work)
	p.workers.Wait()
}
