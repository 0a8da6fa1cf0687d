"""Decide whether a file has changed since its rows were computed: by its status, and by a checksum of its content."""

from __future__ import annotations

from pathlib import Path

from genrekit.data.cache.layout import CachedSkip, CachedTrack
from genrekit.data.collection import Track
from genrekit.io.digests import file_checksum


class SourceCheck:
    """Compares files with what caches know about them.

    A file with the same size, times and inode is unchanged. If the size is the same but a time or the inode differs, as
    after copying or unpacking, the checksum of its content decides. With `verify`, it always does. `changed` has the
    ids of tracks with other content although size and modification time are the same, and `same` those of tracks whose
    checksum is the same.
    """

    def __init__(self, *, verify: bool = False) -> None:
        self.verify, self.changed, self.same = verify, set[str](), set[str]()
        self._checksums: dict[Path, str] = {}

    def unchanged(self, cached: CachedTrack, track: Track) -> bool:
        """Whether the rows of a track are computed from the content that its file has now."""
        if not cached.done or cached.size != track.size:
            return False
        same_time = cached.mtime_ns == track.mtime_ns
        if not cached.file_digest:  # an earlier version wrote the cache
            return same_time and not self.verify
        same_file = (cached.inode, cached.ctime_ns) == (track.inode, track.ctime_ns)
        if same_time and same_file and not self.verify:
            return True
        if track.path not in self._checksums:
            self._checksums[track.path] = file_checksum(track.path)
        same_content = self._checksums[track.path] == cached.file_digest
        if same_content:
            self.same.add(track.id)
        elif same_time:
            self.changed.add(track.id)
        return same_content

    def skips_again(self, skip: CachedSkip, track: Track) -> bool:
        """Whether a file that was skipped is unchanged. There is no checksum of it, so `verify` opens it again."""
        if self.verify or (skip.size, skip.mtime_ns) != (track.size, track.mtime_ns):
            return False
        known = skip.inode or skip.ctime_ns  # not if an earlier version wrote the cache
        return not known or (skip.inode, skip.ctime_ns) == (track.inode, track.ctime_ns)
