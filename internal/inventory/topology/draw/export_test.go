package draw

// For the tests of the geometry.
var (
	TextWidth = textWidth
	Fit       = fit
	Clean     = clean
)

// DotW is the room of a sign.
const DotW = dotW
