# The far side of a batching reader. It is read from standard input and run by the perl of the host (perl-base is
# essential in Debian); nothing is written on the host. It answers rounds: a frame of requests in, frames of answers out.
#
# All numbers are big-endian; a string is its length (32 bits) and its bytes.
#   hello   "castellan-host-1\n" euid(32) time(64)
#   round   length(32) then requests:
#             'R' id elements  read every regular file that matches     'S' id path  stat
#             'L' id elements  list what matches                        'X' id seconds(32) count(32) arguments
#           elements: count(32), each 'l' name, 'r' regular expression or '*' (everything below, last only)
#   answer  length(32) kind(8) id(32) body:
#             'i' type mode uid gid size mtime link path   an entry (of R and L), or the answer of S
#             'd' path error content                       a file (of R)
#             'o' error code stdout stderr                 the answer of X
#             'e' error                                    end of one request
#             'z'                                          end of the round
#   error   "" for none, noent, perm, notreg, big, budget, loop, time, or other words
use strict; use warnings; no warnings qw(utf8 newline);
use Fcntl qw(:DEFAULT :mode);
use POSIX qw(:sys_wait_h setpgid _exit);
use Errno;

my ($MAXFILE, $MAXLIST, $MAXERR, $BUDGET, $PARALLEL) = @{$main::LIMITS};
my @PATH = qw(/usr/sbin /usr/bin /sbin /bin);
my %PSEUDO = map { $_ => 1 } qw(/proc /sys /dev /run /mnt/pve /var/lib/lxcfs);
%ENV = (PATH => join(':', @PATH), LC_ALL => 'C', HOME => '/');
chdir '/';
$| = 1;
binmode STDIN; binmode STDOUT;
local $SIG{PIPE} = 'DEFAULT';

my ($out, $spent, %sent) = ('', 0);

sub emit {
	$out .= pack('N/a*', $_[0]);
	flushout() if length($out) > 1 << 18;
}
sub flushout {
	my $at = 0;
	while ($at < length $out) {
		my $n = syswrite STDOUT, $out, length($out) - $at, $at;
		next if !defined $n && $!{EINTR};
		exit 1 if !defined $n;
		$at += $n;
	}
	$out = '';
}
sub fetch {
	my ($want, $got) = ($_[0], '');
	while (length $got < $want) {
		my $n = sysread STDIN, $got, $want - length $got, length $got;
		next if !defined $n && $!{EINTR};
		exit 0 if !$n;
	}
	return $got;
}
sub why {
	return 'noent' if $!{ENOENT} || $!{ENOTDIR};
	return 'perm' if $!{EACCES} || $!{EPERM};
	return 'loop' if $!{ELOOP};
	return 'notreg' if $!{ENXIO};
	return "$!";
}
# Entries are sent once per request; a file is sent once per round.
sub entry {
	my ($id, $path, $link, @st) = @_;
	my $mode = $st[2];
	my $type = S_ISREG($mode) ? 1 : S_ISDIR($mode) ? 2 : S_ISLNK($mode) ? 3 : 0;
	$spent += 64 + length($link) + length $path;
	emit(pack 'aNNNNNq>q>N/a*N/a*', 'i', $id, $type, $mode & 07777, $st[4], $st[5], $st[7], $st[9], $link, $path);
}
sub content {
	my ($id, $path) = @_;
	return if $sent{$path}++;
	my ($data, $err) = slurp($path);
	$err = 'budget' if !$err && ($spent += length $data) > $BUDGET;
	$data = '' if $err;
	emit(pack 'aNN/a*N/a*N/a*', 'd', $id, $path, $err, $data);
}
sub slurp {
	my $path = $_[0];
	my @st = stat $path or return ('', why());
	return ('', 'notreg') if !S_ISREG($st[2]);
	return ('', 'big') if $st[7] > $MAXFILE;
	sysopen my $f, $path, O_RDONLY | O_NONBLOCK | O_NOCTTY or return ('', why());
	@st = stat $f or return ('', why());
	return ('', 'notreg') if !S_ISREG($st[2]);
	my $data = '';
	while (1) {
		my $n = sysread $f, $data, 1 << 16, length $data;
		next if !defined $n && $!{EINTR};
		return ('', why()) if !defined $n;
		return ($data, '') if !$n;
		return ('', 'big') if length $data > $MAXFILE;
	}
}

# The walk: the same rules as view.go, with names in place of descriptors.
my ($found, $problem, $each, $looped);
sub stopped { $problem eq 'big' || $problem eq 'budget' }
sub fail {
	my $e = why();
	$looped = 1 if $e eq 'loop';
	$problem ||= $e if $e ne 'noent' && $e ne 'loop';
}
sub add {
	my $path = $_[0];
	return if stopped();
	my @st = lstat $path or do { fail(); return };
	$problem = 'big' if $found++ >= $MAXLIST;
	$problem = 'budget' if $spent > $BUDGET;
	return if stopped();
	my $link = '';
	if (S_ISLNK($st[2])) { $link = readlink $path; return fail() if !defined $link }
	$each->($path, $link, @st);
	return S_ISDIR($st[2]);
}
sub under { $_[0] eq '/' ? "/$_[1]" : "$_[0]/$_[1]" }
sub walk {
	my @todo = ($_[0]);
	while (defined(my $dir = shift @todo)) {
		opendir my $d, $dir or do { fail(); next };
		my @below;
		while (defined(my $name = readdir $d)) {
			next if $name eq '.' || $name eq '..';
			my $path = under($dir, $name);
			push @below, $path if add($path) && !$PSEUDO{$path};
			return if stopped();
		}
		# A directory that was exchanged for a link meanwhile is not followed.
		push @todo, grep { lstat $_ && -d _ } @below;
	}
}
sub expand {
	my ($dir, @e) = @_;
	return if stopped();
	while (@e > 1 && $e[0][0] eq 'l') { $dir = under($dir, (shift @e)->[1]) }
	return walk($dir) if $e[0][0] eq '*';
	if ($e[0][0] eq 'l') { add(under($dir, $e[0][1])); return }
	my $re = qr/$e[0][1]/s;
	opendir my $d, $dir or return fail();
	while (defined(my $name = readdir $d)) {
		next if $name eq '.' || $name eq '..' || $name !~ $re;
		if (@e == 1) { add(under($dir, $name)) }
		else { expand(under($dir, $name), @e[1 .. $#e]) }
		return if stopped();
	}
}
sub matches {
	my ($e, $f) = @_;
	($found, $problem, $each, $looped) = (0, '', $f, 0);
	expand('/', @$e);
	return $problem;
}

# Commands run side by side, each in a process group of its own.
my @jobs;
sub program {
	my $p = $_[0];
	if ($p =~ m{^/}) { return -x $p ? ($p, '') : ('', -e _ ? 'perm' : 'noent') }
	return ('', 'Invalid argument') if $p =~ m{/};
	my $err = 'noent';
	for my $dir (@PATH) {
		next if !-f "$dir/$p";
		return ("$dir/$p", '') if -x _;
		$err = 'perm';
	}
	return ('', $err);
}
sub done {
	my ($j, $err) = @_;
	kill 'KILL', -$j->{pid} if $j->{pid} && ($err || $j->{left});
	waitpid $j->{pid}, 0 if $j->{pid} && !defined $j->{code};
	$err = 'budget' if !$err && ($spent += length $j->{buf}[0]) > $BUDGET;
	my $code = $j->{code} // 0;
	$code = $code & 127 ? 128 + ($code & 127) : $code >> 8;
	emit(pack 'aNN/a*NN/a*N/a*', 'o', $j->{id}, $err, $code, $err ? '' : $j->{buf}[0], $j->{buf}[1] // '');
}
sub start {
	my $j = $_[0];
	my ($path, $err) = program($j->{argv}[0]);
	return done($j, $err) if $err;
	pipe my $r1, my $w1 or return done($j, "$!");
	pipe my $r2, my $w2 or return done($j, "$!");
	pipe my $r3, my $w3 or return done($j, "$!");
	flushout();
	my $pid = fork;
	return done($j, "$!") if !defined $pid;
	if (!$pid) {
		setpgid 0, 0;
		open STDIN, '<', '/dev/null';
		POSIX::dup2(fileno $w1, 1);
		POSIX::dup2(fileno $w2, 2);
		{ no warnings; exec {$path} @{$j->{argv}} }
		syswrite $w3, why();
		_exit(127);
	}
	setpgid $pid, $pid;
	close $_ for $w1, $w2, $w3;
	my $failed = '';
	sysread $r3, $failed, 256;
	@$j{qw(pid fh buf until)} = ($pid, [$r1, $r2], ['', ''], time + $j->{seconds} + 1);
	return done($j, $failed) if $failed;
	return $j;
}
sub pump {
	my $j = $_[0];
	for my $i (0, 1) {
		my $f = $j->{fh}[$i] or next;
		my $v = '';
		vec($v, fileno $f, 1) = 1;
		next if !select my $ready = $v, undef, undef, 0;
		my $n = sysread $f, my $data, 1 << 16;
		if (!$n) { $j->{fh}[$i] = undef if defined $n || !$!{EINTR}; next }
		if ($i == 0) { $j->{buf}[0] .= $data; return 'big' if length $j->{buf}[0] > $MAXFILE }
		else { $j->{buf}[1] = substr $j->{buf}[1] . $data, 0, $MAXERR }
	}
	$j->{code} = $? if !defined $j->{code} && waitpid($j->{pid}, WNOHANG) == $j->{pid};
	return '' if defined $j->{code} && !grep { $_ } @{$j->{fh}};
	# The program has ended, but a child of it holds its output: that child gets another second.
	if (defined $j->{code}) { $j->{left} ||= time + 2; return '' if time >= $j->{left} }
	return 'time' if time >= $j->{until};
	return undef;
}
sub commands {
	my @running;
	while (@jobs || @running) {
		while (@jobs && @running < $PARALLEL) {
			my $j = start(shift @jobs);
			push @running, $j if ref $j;
		}
		my $v = '';
		for my $j (@running) { vec($v, fileno $_, 1) = 1 for grep { $_ } @{$j->{fh}} }
		select $v, undef, undef, $v =~ /[^\0]/ ? 0.2 : 0.01;
		@running = grep {
			my $r = pump($_);
			done($_, $r) if defined $r;
			!defined $r;
		} @running;
	}
}

sub request {
	my ($in, $at) = @_;
	my ($kind, $id) = unpack "x${at}aN", $$in;
	$at += 5;
	my $word = sub { my $s = unpack "x${at}N/a*", $$in; $at += 4 + length $s; $s };
	my $num = sub { my $n = unpack "x${at}N", $$in; $at += 4; $n };
	if ($kind eq 'X') {
		my $seconds = $num->();
		push @jobs, {id => $id, seconds => $seconds, argv => [map { $word->() } 1 .. $num->()]};
		return $at;
	}
	if ($kind eq 'S') {
		my $path = $word->();
		my @st = stat $path;
		my $err = @st ? '' : why();
		entry($id, $path, '', @st) if @st;
		emit(pack 'aNN/a*', 'e', $id, $err);
		return $at;
	}
	my @e;
	for (1 .. $num->()) {
		my $t = unpack "x${at}a", $$in;
		$at++;
		push @e, [$t, $word->()];
	}
	my @files;
	my $err = matches(\@e, sub {
		my ($path, $link, @st) = @_;
		entry($id, $path, $link, @st);
		push @files, $path if $kind eq 'R' && !S_ISDIR($st[2]);
	});
	content($id, $_) for @files;
	# To a listing a circle of links holds nothing; a file that was named lies behind it.
	$err = 'loop' if $looped && $kind eq 'R' && !grep { $_->[0] ne 'l' } @e;
	emit(pack 'aNN/a*', 'e', $id, $err);
	return $at;
}

emit("castellan-host-1\n" . pack('Nq>', $>, time));
flushout();
while (1) {
	my $in = fetch(unpack 'N', fetch(4));
	alarm 900; # a backstop, should the other side be gone without the connection telling
	($spent, %sent) = (0);
	@jobs = ();
	my $at = 0;
	$at = request(\$in, $at) while $at < length $in;
	commands();
	emit('z');
	flushout();
}
