package mailer

// What tests look at from outside.
var (
	Words        = words
	ShownName    = shownName
	ShownDevice  = shownDevice
	ShownAddress = shownAddress
	DefaultHelo  = defaultHelo
)
