# Reads the files named on stdin with generated Perl parsers, and writes what they give.
use strict;
use warnings;
use Encode;
use Meta;
use Metrics;
use Probe;

sub text {
    my ($read) = @_;
    return "-" unless defined $read;
    my $value = $read->value();
    return "x" . unpack("H*", utf8::is_utf8($value) ? Encode::encode("UTF-8", $value) : $value);
}

while (my $line = <STDIN>) {
    my ($kind, $path) = split " ", $line;
    open(my $file, "<:raw", $path) or die $path;
    my $stream = IO::KaitaiStruct::Stream->new($file);
    eval {
        if ($kind eq "meta") {
            my $m = Meta->new($stream);
            my @texts = map { text($_) } $m->commit_id(), $m->job_name(), $m->user();
            print join(" ", "value", $m->version(), $m->timestamp(), @texts), "\n";
        } elsif ($kind eq "probe") {
            my $p = Probe->new($stream);
            print join(" ", "value", $p->magic(), $p->serial(), text($p->note()), $p->default_field()), "\n";
        }
        while ($kind eq "metrics" && !$stream->is_eof()) {
            my $r = Metrics::Record->new($stream);
            my $bits = unpack("H*", pack("d>", $r->value()));
            print join(" ", "value", $r->timestamp(), $r->step(), $bits, text($r->name())), "\n";
        }
        print "end\n";
        1;
    } or do {
        my $problem = $@;
        $problem =~ s/ at \S+ line \d+.*//s;
        print "end $problem\n";
    };
}
