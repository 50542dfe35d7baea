package limit

// Left is how much the limiter remembers of attempts: nothing when none is under way.
func (l *Limiter) Left() int {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	return len(l.queue.inFlight) + len(l.queue.waiting) + len(l.queue.networks) + l.queue.all
}
