// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {vm} from "../base/Vm.sol";
import {World} from "./World.sol";

/// @notice Every call of the Vault that moves coin, and time.
abstract contract MoneyHandler is World {
    function deposit(uint256 seed) external {
        uint256 amount = _upTo(seed, 30 ether);
        address account = _actor(_mix(seed, "account"));
        bool done = _try(_actor(seed), address(vault), abi.encodeCall(vault.deposit, (account)), amount);
        _must(done, "deposit");
        gained[account] += amount;
        _hit("deposit", done);
    }

    /// @notice Fresh stake, so that sanctions and exits do not bring the market to a halt.
    function stake(uint256 seed) external {
        address account = _mix(seed, "who") % 2 == 0 ? providers[seed % 3] : actors[seed % 2];
        gained[account] += 12 ether;
        _stake(account, 12 ether);
        _hit("stake", true);
    }

    function withdraw(uint256 seed) external {
        address sender = _actor(seed);
        uint256 balance = vault.balanceOf(sender);
        uint256 amount = _upTo(seed, balance + balance / 8);
        bool done = _try(sender, address(vault), abi.encodeCall(vault.withdraw, (amount)));
        _must(done == (amount <= balance), "withdraw");
        _hit("withdraw", done);
    }

    function lock(uint256 seed) external {
        address sender = _actor(seed);
        uint256 balance = vault.balanceOf(sender);
        uint256 amount = _upTo(seed, balance + balance / 8);
        bool done = _try(sender, address(vault), abi.encodeCall(vault.lock, (amount)));
        _must(done == (amount <= balance), "lock");
        _hit("lock", done);
    }

    function unbond(uint256 seed) external {
        address sender = _someone(seed, 0);
        uint256 lockup = vault.lockupOf(sender);
        uint256 amount = _mix(seed, "all") % 8 == 0 ? lockup + 1 : _upTo(seed, lockup / 2);
        bool done = _try(sender, address(vault), abi.encodeCall(vault.unbond, (amount)));
        _must(done == (amount > 0 && amount <= lockup), "unbond");
        if (done) {
            _must(vault.unbondingTimestamp(sender) == block.timestamp + vault.UNBONDING_PERIOD(), "maturity");
        }
        _hit("unbond", done);
    }

    function cancelUnbonding(uint256 seed) external {
        address sender = _mix(seed, "any") % 3 == 0 ? _actor(seed) : _someone(seed, 1);
        bool some = vault.unbondingOf(sender) > 0;
        bool done = _try(sender, address(vault), abi.encodeCall(vault.cancelUnbonding, ()));
        _must(done == some, "cancelUnbonding");
        _hit("cancelUnbonding", done);
    }

    function claim(uint256 seed) external {
        address sender = _someone(seed, 1);
        if (_mix(seed, "wait") % 2 == 0 && vault.unbondingTimestamp(sender) > block.timestamp) {
            vm.warp(vault.unbondingTimestamp(sender) - _mix(seed, "early") % 2);
        }
        bool ripe = vault.unbondingOf(sender) > 0 && block.timestamp >= vault.unbondingTimestamp(sender);
        bool done = _try(sender, address(vault), abi.encodeCall(vault.claim, ()));
        _must(done == ripe, "claim");
        _hit("claim", done);
    }

    function sanction(uint256 seed) external {
        address account = _someone(seed, _mix(seed, "where") % 2);
        address sender = _caller(seed, judge);
        uint256 staked = vault.lockupOf(account) + vault.unbondingOf(account);
        uint256 amount = _mix(seed, "all") % 8 == 0 ? staked + _mix(seed, "over") % 2 : _upTo(seed, staked / 4);
        bool done = _try(sender, address(vault), abi.encodeCall(vault.sanction, (account, amount)));
        _must(done == (sender == judge && amount <= staked), "sanction");
        if (done) {
            lost[account] += amount;
            sanctioned[account] += amount;
        }
        _hit("sanction", done);
    }

    function waive(uint256 seed) external {
        address account = _someone(seed, 2);
        address sender = _caller(seed, judge);
        uint256 amount = _upTo(seed, sanctioned[account] + sanctioned[account] / 8);
        bool allowed = sender == judge && amount <= sanctioned[account];
        bool done = _try(sender, address(vault), abi.encodeCall(vault.waive, (account, amount)));
        _must(done == allowed, "waive");
        if (done) {
            gained[account] += amount;
            sanctioned[account] -= amount;
        }
        _hit("waive", done);
    }

    function withdrawSanctionOf(uint256 seed) external {
        address account = _someone(seed, 2);
        address sender = _caller(seed, boss);
        bool done = _try(sender, address(vault), abi.encodeCall(vault.withdrawSanctionOf, (account)));
        _must(done == (sender == boss && sanctioned[account] > 0), "withdrawSanctionOf");
        if (done) {
            gained[sender] += sanctioned[account];
            sanctioned[account] = 0;
        }
        _hit("withdrawSanctionOf", done);
    }

    function emergencyExit(uint256 seed) external {
        address account = _actor(_mix(seed, "account"));
        // Seldom by the one who may: it takes an account out of the game.
        address sender = _mix(seed, "who") % 6 == 0 ? boss : _actor(seed);
        uint256 held = vault.balanceOf(account) + vault.lockupOf(account) + vault.unbondingOf(account);
        bool done = _try(sender, address(vault), abi.encodeCall(vault.emergencyExit, (account)));
        _must(done == (sender == boss && held > 0), "emergencyExit");
        _hit("emergencyExit", done);
    }

    function tune(uint256 seed) external {
        address sender = _caller(seed, boss);
        bytes memory data = abi.encodeCall(vault.setMinLockupPerSource, (_upTo(seed, 12 ether)));
        if (seed % 3 == 1) data = abi.encodeCall(vault.setMaxUnbondingPeriod, (_upTo(seed, 7 days)));
        if (seed % 3 == 2) data = abi.encodeCall(vault.setWhitelist, (_actor(_mix(seed, "a")), seed % 2 == 0));
        bool done = _try(sender, address(vault), data);
        _must(done == (sender == boss), "tune");
        _hit("tune", done);
    }

    function forceCoin(uint256 seed) external {
        uint256 amount = _upTo(seed, 1 ether);
        forced += amount;
        vm.deal(address(vault), address(vault).balance + amount);
    }

    function wait(uint256 seed) external {
        vm.warp(block.timestamp + _upTo(seed, 20 minutes));
    }

    /// @notice From a seeded place on, the first actor with lockup (0), unbonding (1) or a sanction (2).
    function _someone(uint256 seed, uint256 what) internal view returns (address account) {
        for (uint256 i = 0; i < actors.length; i++) {
            account = actors[(seed % actors.length + i) % actors.length];
            if (what == 0 && vault.lockupOf(account) > 0) return account;
            if (what == 1 && vault.unbondingOf(account) > 0) return account;
            if (what == 2 && sanctioned[account] > 0) return account;
        }
    }
}
