// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Panic} from "@openzeppelin/contracts/utils/Panic.sol";

/// @notice List getters with both bounds inclusive, as the deployed contracts have them.
library Ranges {
    /// @notice The number of entries in [lower, upper]; Panic(0x32) when upper is at or past the count.
    function size(uint256 count, uint256 lower, uint256 upper) internal pure returns (uint256) {
        // Checked before any allocation, so that a huge bound is still an index panic and not one of memory.
        if (upper >= count) Panic.panic(Panic.ARRAY_OUT_OF_BOUNDS);
        return upper - lower + 1;
    }

    /// @notice The entries [lower, upper] of a list.
    function slice(address[] storage list, uint256 lower, uint256 upper) internal view returns (address[] memory part) {
        part = new address[](size(list.length, lower, upper));
        for (uint256 i = 0; i < part.length; i++) {
            part[i] = list[lower + i];
        }
    }

    /// @notice As slice, but fails for any lower > 0: the deployed Source writes its result at absolute positions.
    function absoluteSlice(address[] storage list, uint256 lower, uint256 upper)
        internal
        view
        returns (address[] memory)
    {
        if (lower > 0) Panic.panic(Panic.ARRAY_OUT_OF_BOUNDS);
        return slice(list, lower, upper);
    }
}
